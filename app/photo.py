"""The user's photo, decoded and with its faces detected. All pages share it, in memory and for one session."""

from dataclasses import dataclass, field

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from app import resources
from app.colours import RED
from app.upload import Upload, plain
from faces.images import detection, preprocessing
from faces.inference import photos
from faces.inference.predictor import Predictor

MAX_SIDE = 1200  # pixels: of a photo on the page
NO_FACE = (
    "No face was detected. Is the photo upright, and its face large enough? A lower detection score (Settings) finds "
    "more faces. If the photo is only one face, turn on 'The photo is cropped'."
)


@dataclass
class Photo:
    """A user's photo: image: RGB, upright; detected: {lowest score: faces}; note: on unused frames, or ''."""

    key: str
    name: str
    image: Image.Image
    note: str = ""
    detected: dict[float, list[detection.Face]] = field(default_factory=dict)

    def faces(self, predictor: Predictor, cropped: bool, min_score: float) -> tuple[list[tuple], list[np.ndarray]]:
        """Places of faces and model inputs, as photos.faces; cropped: the photo is one face, without a place."""
        if cropped:
            return [()], [predictor.to_input(self.image)]
        if photos.framing(predictor) is not None and min_score not in self.detected:
            self.detected = {min_score: resources.detector().detect(self.image, min_score)}
        return photos.cut(self.image, self.detected.get(min_score, []), predictor)


def load(upload: Upload | None) -> Photo | None:
    """The uploaded photo, decoded once; None if there is none, or if it is unusable (a message is shown)."""
    photo: Photo | None = st.session_state.get("photo")
    if upload is None or photo is None or photo.key != upload.key:
        st.session_state["photo"] = photo = decode(upload) if upload else None
    if photo is not None and photo.note:
        st.info(photo.note)
    return photo


def decode(upload: Upload) -> Photo | None:
    """Decoded photo; None if it is unusable (a message is shown)."""
    name = plain(upload.name)
    try:
        image = preprocessing.decode(upload.content)
    except preprocessing.ImageError as error:
        text = plain(str(error))
        st.error(f"{name} {text}" if text.startswith(("is ", "cannot ")) else f"{name}: {text}")
        return None
    note = "The file has several frames; the first one is used." if preprocessing.has_frames(upload.content) else ""
    return Photo(upload.key, upload.name, image, note)


def with_boxes(image: Image.Image, places: list[tuple]) -> Image.Image:
    """Copy of a photo, at most MAX_SIDE pixels wide and high, with numbered boxes around its faces, from 1."""
    scale = min(1.0, MAX_SIDE / max(image.size))
    size = [max(1, round(side * scale)) for side in image.size]
    copy = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.0)
    draw = ImageDraw.Draw(copy)
    font = ImageFont.load_default(max(12, round(max(size) / 35)))
    for number, (*ends, _) in enumerate(places, 1):
        box = [end * scale for end in ends]
        draw.rectangle(box, outline=RED, width=max(2, round(max(size) / 150)))
        draw.rectangle(draw.textbbox(box[:2], f" {number} ", font=font), fill=RED)
        draw.text(box[:2], f" {number} ", fill="white", font=font)
    return copy


def settings() -> tuple[bool, float]:
    """Ask whether the photo is a face already cropped, and for the lowest score of a detected face."""
    cropped = st.toggle("The photo is cropped: one face, framed as in training", key="cropped")
    min_score = st.slider(
        "Lowest detection score",
        0.1,
        0.9,
        detection.MIN_SCORE,
        0.05,
        disabled=cropped,
        key="min_score",
        help="A lower score finds more faces, and more false ones.",
    )
    return cropped, min_score
