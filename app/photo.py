"""A visitor's photo, for all pages: decoded, its faces found; in memory, and for this visit alone."""

from dataclasses import dataclass, field

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from app import resources
from app.colours import RED
from app.upload import Upload
from faces.images import detection, preprocessing
from faces.images.detection import Face
from faces.images.preprocessing import PictureError
from faces.inference import photos
from faces.inference.predictor import Predictor

SHOWN = 1200  # pixels: the longer side of a photo as it is shown
NONE = (
    "No face was found. Is it upright, and large enough? A lower least score (Settings) finds more; a picture that is "
    "one face needs 'It is cropped'."
)


@dataclass
class Photo:
    """A photo that was given: image, RGB and upright; found: {least score: faces}; note: what was left of it."""

    key: str
    name: str
    image: Image.Image
    note: str = ""
    found: dict[float, list[Face]] = field(default_factory=dict)

    def faces(self, predictor: Predictor, cropped: bool, least: float) -> tuple[list[tuple], list[np.ndarray]]:
        """Places and what the network sees, as photos.faces; cropped: the photo is one face, which has no place."""
        if cropped:
            return [()], [predictor.look(self.image)]
        if photos.framing(predictor) is not None and least not in self.found:
            self.found = {least: resources.finder().find(self.image, least)}
        return photos.cut(self.image, self.found.get(least, []), predictor)


def of(given: Upload | None) -> Photo | None:
    """The photo that was given, decoded once; None where there is none or, with the reason shown, it cannot be used."""
    if given is None:
        st.session_state.pop("photo", None)
        return None
    kept: Photo | None = st.session_state.get("photo")
    if kept is None or kept.key != given.key:
        st.session_state["photo"] = kept = decoded(given)
    if kept is not None and kept.note:
        st.info(kept.note)
    return kept


def decoded(given: Upload) -> Photo | None:
    """A photo; None, with the reason shown, where it cannot be used."""
    try:
        image = preprocessing.decode(given.content)
    except PictureError as error:
        st.error(f"{given.name} {error}" if str(error).startswith(("is ", "cannot ")) else f"{given.name}: {error}")
        return None
    frames = preprocessing.frames(given.content)
    note = f"Of its {frames} pictures, the first is looked at." if frames > 1 else ""
    return Photo(given.key, given.name, image, note)


def boxed(image: Image.Image, places: list[tuple]) -> Image.Image:
    """A copy of a photo, small enough to be shown, with its faces framed and numbered from 1."""
    scale = min(1.0, SHOWN / max(image.size))
    size = [max(1, round(side * scale)) for side in image.size]
    shown = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.0)
    draw = ImageDraw.Draw(shown)
    width = max(2, round(max(shown.size) / 150))
    font = ImageFont.load_default(max(12, round(max(shown.size) / 35)))
    for number, (left, top, right, bottom, _) in enumerate(places, 1):
        box = [end * scale for end in (left, top, right, bottom)]
        draw.rectangle(box, outline=RED, width=width)
        ends = draw.textbbox((box[0], box[1]), f" {number} ", font=font)
        draw.rectangle(ends, fill=RED)
        draw.text((box[0], box[1]), f" {number} ", fill="white", font=font)
    return shown


def settings() -> tuple[bool, float]:
    """Whether the photo is one face that is cut out already, and the score from which a finding is a face."""
    cropped = st.toggle("It is cropped: one face, framed as in UTKFace", key="cropped")
    least = st.slider(
        "Least score of a face",
        0.1,
        0.9,
        detection.LEAST,
        0.05,
        disabled=cropped,
        key="least",
        help="Lower finds more faces, and more that are none.",
    )
    return cropped, least
