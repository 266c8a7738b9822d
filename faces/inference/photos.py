"""Predict from any photos: detect the faces, crop them as the model's training images, predict."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from PIL import Image

from faces.data import datasets
from faces.images import detection, preprocessing
from faces.images.preprocessing import ImageError
from faces.inference.predictor import Predictor

BATCH = 32  # images that are predicted together
NO_FACE = detection.NO_FACE
PLACE = ("left", "top", "right", "bottom", "score")


@dataclass
class Prepared:
    """The faces of an image before prediction.

    places: tuples of PLACE, empty for an image that is one face. inputs: of the network, (s, s, 3) uint8. error: why
    there are none, or ''.
    """

    name: object
    places: list[tuple] = field(default_factory=list)
    inputs: list[np.ndarray] = field(default_factory=list)
    error: str = ""


def framing(predictor: Predictor) -> np.ndarray | None:
    """The framing of a model's training faces, as detection.crop_face takes it; None for a model of whole photos.

    Earlier versions did not keep it with the model: it is then that of the dataset, and UTKFace's of one's own table.
    """
    if predictor.metadata["variant"] == "full":
        return None
    if "framing" in predictor.metadata:
        kept = predictor.metadata["framing"]
        return None if kept is None else np.array(kept, float)
    try:
        return datasets.framing(datasets.find(predictor.metadata.get("dataset", "")))
    except ModuleNotFoundError:
        return datasets.framing(datasets.find("utkface"))


def faces(
    image: Image.Image, predictor: Predictor, finder: detection.FaceDetector, min_score: float = detection.MIN_SCORE
) -> tuple[list[tuple], list[np.ndarray]]:
    """Places of the faces of an RGB photo, the largest first, and the network's input (s, s, 3) uint8 for each.

    A place is left, top, right and bottom of the face's box in pixels, and the score of the detection, `min_score` to
    1. For a model of whole photos, it is the photo.
    """
    return cut(image, [] if framing(predictor) is None else finder.detect(image, min_score), predictor)


def cut(
    image: Image.Image, detected: list[detection.Face], predictor: Predictor
) -> tuple[list[tuple], list[np.ndarray]]:
    """The same for detected faces, in the same order."""
    frame = framing(predictor)
    if frame is None:
        return [(0, 0, *image.size, 1.0)], [predictor.to_input(image)]
    places = [(*(round(end) for end in face.box), round(face.score, 3)) for face in detected]
    return places, [
        predictor.to_input(detection.crop_face(image, face, frame, detection.CROP_SIDE)) for face in detected
    ]


def prepare(
    name: object,
    content: bytes,
    predictor: Predictor,
    finder: detection.FaceDetector | None,
    min_score: float = detection.MIN_SCORE,
) -> Prepared:
    """Decode an image file and detect its faces; finder: None for one face, framed as the model's training images."""
    try:
        if finder is None:
            return Prepared(name, [()], [predictor.file_to_input(content)])
        places, inputs = faces(preprocessing.decode(content), predictor, finder, min_score)
    except ImageError as error:
        return Prepared(name, error=str(error))
    return Prepared(name, places, inputs, "" if inputs else NO_FACE)


def batches(tasks: Iterable[Callable[[], Prepared]]) -> Iterator[list[Prepared]]:
    """Results of functions that prepare an image each, BATCH at a time, by a thread for each core, one batch ahead."""
    tasks, ahead = iter(tasks), list[Future[Prepared]]()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := [pool.submit(task) for task in itertools.islice(tasks, BATCH)]:
            yield [future.result() for future in ahead]
            ahead = batch
        yield [future.result() for future in ahead]


def labelled_face(
    name: object,
    content: bytes,
    predictor: Predictor,
    finder: detection.FaceDetector,
    rule: str,
    box: tuple[float, float, float, float] | None = None,
) -> Prepared:
    """Decode an image file, and prepare the face that its label is of alone. Where that is not known, error says so.

    rule: largest, or central: the large face nearest to the middle. box: as detection.labelled_face takes it. An image
    that is a crop is taken as it is.
    """
    try:
        image = preprocessing.decode(content)
        if framing(predictor) is None:
            return Prepared(name, [()], [predictor.to_input(image)])
        face = detection.labelled_face(finder.detect(image), image.size, rule == "largest", box)
        if face is None:
            return Prepared(name, [()], [predictor.to_input(image)])
        return Prepared(name, *cut(image, [face], predictor))
    except ImageError as error:
        return Prepared(name, error=str(error))


def predict(prepared: Iterable[Prepared], predictor: Predictor) -> Iterator[dict]:
    """One row a face, predicted all at once, and one for each image without a face.

    A row is name, face (its number in the image, from 1), PLACE, and Predictor.predict's columns; or name and error.
    """
    prepared = list(prepared)
    inputs = [x for image in prepared for x in image.inputs]
    predictions = iter(predictor.predict_inputs(np.stack(inputs)).to_dict("records") if inputs else [])
    for image in prepared:
        if image.error:
            yield {"name": image.name, "error": image.error}
        for number, place in enumerate(image.places):
            yield {"name": image.name, "face": number + 1} | dict(zip(PLACE, place, strict=False)) | next(predictions)


def table(prepared: Iterable[Prepared], predictor: Predictor) -> pd.DataFrame:
    """Rows of `predict` as a table whose columns do not depend on the images; image is the name."""
    numbers = ["face", *PLACE]
    rows = pd.DataFrame(predict(prepared, predictor)).reindex(columns=["name", *columns(predictor), "error"])
    rows = rows.astype(dict.fromkeys(numbers, float)).fillna({"error": ""})
    return rows.rename(columns={"name": "image"})


def columns(predictor: Predictor) -> list[str]:
    """Names of all columns that a row of `predict` may have between `name` and `error`."""
    size = predictor.view[2]
    return ["face", *PLACE, *predictor.predict_inputs(np.zeros((1, size, size, 3), np.uint8))]
