"""Predict from photos as people have them: find the faces, cut each as the model knows faces, predict."""

import numpy as np
import pandas as pd
from PIL import Image

from stages.lib import datasets, finding
from stages.lib.predictor import Predictor

CUT = 200  # side in pixels in which a face is cut out, as published crops are, before it is made smaller


def framing(predictor: Predictor) -> np.ndarray | None:
    """How the faces that a model knows are framed, as finding.cut takes it; None where it knows whole photos."""
    about = predictor.about
    return datasets.find(about.get("reader", about["dataset"])).FRAMING if about["variant"] == "cropped" else None


def predict(
    image: Image.Image, predictor: Predictor, finder: finding.Finder, least: float = finding.LEAST
) -> pd.DataFrame:
    """One row a face of an RGB photo, the largest first; none where there is no face.

    Columns: left, top, right and bottom of its box in pixels, score (of the finding, 0 to 1; those of at least `least`
    are faces), and the columns of Predictor.predict. A model of whole photos tells one row, of all that there is.
    """
    frame = framing(predictor)
    if frame is None:
        boxes, scores, seen = [(0.0, 0.0, *image.size)], [1.0], [predictor.look(image)]
    else:
        faces = finder.find(image, least)
        boxes, scores = [face.box for face in faces], [face.score for face in faces]
        seen = [predictor.look(finding.cut(image, face, frame, CUT)) for face in faces]
    if not seen:
        return pd.DataFrame()
    places = pd.DataFrame(np.round(boxes).astype(int), columns=["left", "top", "right", "bottom"])
    return pd.concat([places.assign(score=np.round(scores, 3)), predictor.told(np.stack(seen))], axis=1)
