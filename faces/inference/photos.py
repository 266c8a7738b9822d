"""Predict from photos as people have them: find the faces, cut each as the model knows faces, predict."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from PIL import Image

from faces.data import datasets
from faces.images import detection, preprocessing
from faces.images.preprocessing import PictureError
from faces.inference.predictor import Predictor

PLACE = ("left", "top", "right", "bottom", "score")


@dataclass
class Prepared:
    """A picture's faces before they are predicted: where they are, and what the network sees of each.

    places: of PLACE, empty for a picture that is one face. seen: (s, s, 3) uint8. error: why there are none, or ''.
    """

    name: object
    places: list[tuple] = field(default_factory=list)
    seen: list[np.ndarray] = field(default_factory=list)
    error: str = ""


def framing(predictor: Predictor) -> np.ndarray | None:
    """How the faces that a model knows are framed, as detection.crop_face takes it; None where it knows whole photos.

    One's own pictures are taken to be framed as UTKFace's chips.
    """
    if predictor.about["variant"] == "full":
        return None
    try:
        return datasets.framing(datasets.find(predictor.about.get("dataset", "")))
    except ModuleNotFoundError:
        return datasets.framing(datasets.find("utkface"))


def faces(
    image: Image.Image, predictor: Predictor, finder: detection.FaceDetector, least: float = detection.MIN_SCORE
) -> tuple[list[tuple], list[np.ndarray]]:
    """Where the faces of an RGB photo are, the largest first, and what the network sees of each (s, s, 3) uint8.

    A place is left, top, right and bottom of the face's box in pixels, and score (of the finding, 0 to 1; those of at
    least `least` are faces). For a model of whole photos, it is all that there is.
    """
    return cut(image, [] if framing(predictor) is None else finder.detect(image, least), predictor)


def cut(image: Image.Image, found: list[detection.Face], predictor: Predictor) -> tuple[list[tuple], list[np.ndarray]]:
    """The same of faces that were found before, in the same order."""
    frame = framing(predictor)
    if frame is None:
        return [(0, 0, *image.size, 1.0)], [predictor.look(image)]
    places = [(*(round(end) for end in face.box), round(face.score, 3)) for face in found]
    return places, [predictor.look(detection.crop_face(image, face, frame, detection.CROP_SIDE)) for face in found]


def prepare(
    name: object,
    content: bytes,
    predictor: Predictor,
    finder: detection.FaceDetector | None,
    least: float = detection.MIN_SCORE,
) -> Prepared:
    """Decode a picture's file and find its faces; finder: None where it is one, framed as those of the model."""
    try:
        if finder is None:
            return Prepared(name, [()], [predictor.seen(content)])
        places, seen = faces(preprocessing.decode(content), predictor, finder, least)
    except PictureError as error:
        return Prepared(name, error=str(error))
    return Prepared(name, places, seen, "" if seen else "no face was found")


def told(prepared: Iterable[Prepared], predictor: Predictor) -> Iterator[dict]:
    """One row a face, predicted all at once, and one for each picture without.

    A row is name, face (its number in the picture, from 1), PLACE, and Predictor.predict's columns; or name and error.
    """
    prepared = list(prepared)
    seen = [image for picture in prepared for image in picture.seen]
    rows = iter(predictor.told(np.stack(seen)).to_dict("records") if seen else [])
    for picture in prepared:
        if picture.error:
            yield {"name": picture.name, "error": picture.error}
        for number, place in enumerate(picture.places):
            yield {"name": picture.name, "face": number + 1} | dict(zip(PLACE, place, strict=False)) | next(rows)


def table(prepared: Iterable[Prepared], predictor: Predictor) -> pd.DataFrame:
    """Rows of told as a table that has the same columns whatever the pictures are; image is the name."""
    numbers = ["face", *PLACE]
    rows = pd.DataFrame(told(prepared, predictor)).reindex(columns=["name", *columns(predictor), "error"])
    rows = rows.astype(dict.fromkeys(numbers, float)).fillna({"error": ""})
    return rows.rename(columns={"name": "image"})


def columns(predictor: Predictor) -> list[str]:
    """Names of all that a row of told may have between `name` and `error`."""
    size = predictor.view[2]
    return ["face", *PLACE, *predictor.told(np.zeros((1, size, size, 3), np.uint8))]
