"""Decode, resize, encode and hash images, in the same way for packing and for prediction."""

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 120_000_000  # more than any camera's photo; a file that claims more is a decompression bomb
MAX_BYTES = 200 << 20  # of an image's file
HASH_SIDE = 32
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


class ImageError(Exception):
    """An image that cannot be used; the message is the reason."""


def decode(content: bytes, near: int | None = None) -> Image.Image:
    """Decode an image to upright RGB, also from grey, palette, CMYK and transparent ones; of several frames the first.

    near: a side in pixels that is enough; a larger JPEG is then decoded at a fraction of its size.
    Raises ImageError where it cannot be decoded or is absurdly large.
    """
    if len(content) > MAX_BYTES:
        raise ImageError(f"is larger than {MAX_BYTES >> 20} MiB")
    formats: tuple[str, ...] = FORMATS
    if content[4:8] == b"ftyp":  # HEIC, the format of iPhones
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats = ("HEIF",)
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=formats)
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(f"too many pixels: {image.width} x {image.height}")
        if near:
            image.draft(None, (2 * near, 2 * near))
        if image.format != "JPEG" or {"exif", "xmp"} & image.info.keys():  # a JPEG's orientation is in one of these
            image = ImageOps.exif_transpose(image)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            white = Image.new("RGBA", image.size, (255, 255, 255, 255))
            image = Image.alpha_composite(white, image.convert("RGBA"))
        elif image.mode.startswith("I;16") or image.mode == "I":
            image = Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8))
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")
    except Image.DecompressionBombError:
        raise ImageError("too many pixels: more than any camera's photo has") from None
    except (OSError, SyntaxError, ValueError, Image.UnidentifiedImageError) as error:
        if not content:
            raise ImageError("is empty") from None
        reason = "is no image" if isinstance(error, Image.UnidentifiedImageError) else f"cannot be decoded: {error}"
        raise ImageError(reason) from None


def count_frames(content: bytes) -> int:
    """Number of frames of a file that decode accepts: above 1 for an animation, 1 where it is unknown."""
    try:
        return getattr(Image.open(io.BytesIO(content), formats=FORMATS), "n_frames", 1)
    except Exception:  # noqa: BLE001 - Pillow's plugins raise anything for a truncated file; HEIC is not in FORMATS
        return 1


def crop_padded(image: Image.Image, box: Sequence[int]) -> Image.Image:
    """Cut out a box (left, top, right, bottom in pixels); outside the image, its edge is repeated."""
    left, top, right, bottom = box
    inner = (
        min(max(left, 0), image.width - 1),
        min(max(top, 0), image.height - 1),
        max(min(right, image.width), 1),
        max(min(bottom, image.height), 1),
    )
    part = image.crop(inner)
    if inner == (left, top, right, bottom):
        return part
    rows = np.arange(top, bottom).clip(inner[1], inner[3] - 1) - inner[1]
    columns = np.arange(left, right).clip(inner[0], inner[2] - 1) - inner[0]
    return Image.fromarray(np.asarray(part)[rows[:, None], columns])


def crop_box(image: Image.Image, box: tuple[float, float, float, float], margin: float) -> Image.Image:
    """Cut out a square around a face box (left, top, right, bottom in pixels), widened by a fraction on each side.

    Outside the image, its edge is repeated. Raises ImageError for a box outside the image.
    """
    left, top, right, bottom = box
    if not (right > left and bottom > top and right > 0 and bottom > 0 and left < image.width and top < image.height):
        raise ImageError(f"face box {box} is not within {image.width} x {image.height} pixels")
    half = max(right - left, bottom - top) * (0.5 + margin)
    x, y = (left + right) / 2, (top + bottom) / 2
    x0, y0, side = round(x - half), round(y - half), max(1, round(2 * half))
    return crop_padded(image, (x0, y0, x0 + side, y0 + side))


def fit(image: Image.Image, variant: str, size: int) -> Image.Image:
    """Resize a face to size x size (the middle of the longer side), or a full photo to a longer side of size."""
    if variant != "full":
        return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)


def square(pixels: np.ndarray, size: int) -> np.ndarray:
    """Centre (h, w, 3) uint8 in (size, size, 3): padded with grey where it is smaller, cropped where larger."""
    height, width = pixels.shape[:2]
    top, left = max(0, (height - size) // 2), max(0, (width - size) // 2)
    pixels = pixels[top : top + size, left : left + size]
    rows, columns = (((size - length) // 2, (size - length + 1) // 2) for length in pixels.shape[:2])
    return np.pad(pixels, (rows, columns, (0, 0)), constant_values=128)


def encode(image: Image.Image, quality: int) -> bytes:
    """JPEG bytes of an RGB image; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, comment=b"")
    return buffer.getvalue()


def luma(image: Image.Image) -> np.ndarray:
    """Luma (32, 32) uint8 of an image."""
    small = image.reduce(max(1, min(image.size) // HASH_SIDE)).convert("L")
    return np.asarray(small.resize((HASH_SIDE, HASH_SIDE), Image.Resampling.HAMMING))


def perceptual_hash(lumas: np.ndarray) -> np.ndarray:
    """63-bit DCT hashes (n,) uint64 of n lumas (n, 32, 32): near-copies differ in few bits.

    A bit is whether one of the lowest 8 x 8 frequencies, without the constant, is above their median (Zauner 2010,
    "Implementation and benchmarking of perceptual image hash functions", section 3.2.1).
    """
    import scipy.fft  # here, since it takes 0.3 s and prediction does not need it

    rows = scipy.fft.dct(lumas.astype(np.float64), axis=1, norm="ortho")[:, :8]
    low = scipy.fft.dct(rows, axis=2, norm="ortho")[:, :, :8].reshape(len(lumas), 64)[:, 1:]
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(np.pad(bits, ((0, 0), (1, 0))), axis=1).view(">u8")[:, 0].astype(np.uint64)


def reduction_factor(side: int, crop: int, size: int) -> int:
    """Factor by which images can be reduced when decoded, where `crop` pixels are resized to `size`: 1, 2, 4 or 8."""
    return max(n for n in (1, 2, 4, 8) if (size * n <= crop and crop % n == side % n == 0) or n == 1)


def to_input(image: Image.Image, side: int, crop: int, size: int, zoom: float = 1.0) -> np.ndarray:
    """Prepare a fitted image for a network: the middle of a square of side pixels, as (size, size, 3) uint8.

    crop: side in pixels of that middle, which is resized to `size` at zoom 1; above 1 less of it is.
    The filter is that of training (augmentation.augment), from the four nearest pixels: with another, an image is
    sharper or softer than those in training, and a sharper face looks older. Outside the square, its edge is repeated.
    """
    pixels = square(np.asarray(image), side)
    factor = reduction_factor(side, crop, size)
    step = crop / factor / size / zoom
    pad = max(0, math.ceil((size * step - side // factor) / 2)) + 1
    small = np.asarray(Image.fromarray(pixels).reduce(factor))
    padded = Image.fromarray(np.pad(small, ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    start = (padded.width - size * step) / 2
    affine = (step, 0, start, 0, step, start)
    return np.asarray(padded.transform((size, size), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR))
