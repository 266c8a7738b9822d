"""A contact sheet: many small images with a caption each, as one image."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

COLUMNS, CAPTION = 10, 12  # images in a row; pixels of height for a caption


def draw(images: Sequence[np.ndarray], captions: Sequence[str], columns: int = COLUMNS) -> Image.Image:
    """Images (s, s, 3) uint8 of one size, in rows of `columns`, each above its caption in ASCII; one or more."""
    side, rows = images[0].shape[0], -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + CAPTION)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = number % columns * side, number // columns * (side + CAPTION)
        sheet.paste(Image.fromarray(image), (x, y))
        pen.text((x + 2, y + side), caption.encode("ascii", "replace").decode(), "black")
    return sheet
