"""Predict from photos as people have them: find the faces, cut each as the model knows faces, predict."""

import numpy as np
import pandas as pd
from PIL import Image

from stages.lib import datasets, finding
from stages.lib.datasets import utkface
from stages.lib.predictor import Predictor

CUT = 200  # side in pixels in which a face is cut out, as published crops are, before it is made smaller
PLACE = ("left", "top", "right", "bottom", "score")


def framing(predictor: Predictor) -> np.ndarray | None:
    """How the faces that a model knows are framed, as finding.cut takes it; None where it knows whole photos.

    One's own pictures are taken to be framed as UTKFace's chips.
    """
    if predictor.about["variant"] != "cropped":
        return None
    try:
        return datasets.find(predictor.about.get("dataset", "")).FRAMING
    except ModuleNotFoundError:
        return utkface.FRAMING


def faces(
    image: Image.Image, predictor: Predictor, finder: finding.Finder, least: float = finding.LEAST
) -> tuple[list[tuple], list[np.ndarray]]:
    """Where the faces of an RGB photo are, the largest first, and what the network sees of each (s, s, 3) uint8.

    A place is left, top, right and bottom of the face's box in pixels, and score (of the finding, 0 to 1; those of at
    least `least` are faces). For a model of whole photos, it is all that there is.
    """
    frame = framing(predictor)
    if frame is None:
        return [(0, 0, *image.size, 1.0)], [predictor.look(image)]
    found = finder.find(image, least)
    places = [(*(round(end) for end in face.box), round(face.score, 3)) for face in found]
    return places, [predictor.look(finding.cut(image, face, frame, CUT)) for face in found]


def predict(
    image: Image.Image, predictor: Predictor, finder: finding.Finder, least: float = finding.LEAST
) -> pd.DataFrame:
    """One row a face of an RGB photo, the largest first: PLACE as `faces` has it, and Predictor.predict's columns.

    None where there is no face.
    """
    places, seen = faces(image, predictor, finder, least)
    if not seen:
        return pd.DataFrame()
    return pd.concat([pd.DataFrame(places, columns=list(PLACE)), predictor.told(np.stack(seen))], axis=1)
