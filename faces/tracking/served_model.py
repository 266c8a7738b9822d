"""The model that MLflow serves: images in (column `image`), one row of predictions for each face out."""

import base64
import binascii
import re

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from faces.images import detection
from faces.inference import photos
from faces.inference.predictor import Predictor

# Of base64: the head of a data URL, TensorFlow Serving's {"b64": ...}, which MLflow may give as text, and blanks.
WRAPPING = re.compile(rb"""^\s*data:[^,]{0,100},|^\s*\{\s*["']b64["']\s*:\s*["']|["']\s*\}\s*$|\s""")


class FaceModel(PythonModel):
    """An exported model behind MLflow's pyfunc interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the ONNX file and the face detector."""
        self.predictor = Predictor(context.artifacts["onnx"])
        self.detector = detection.FaceDetector(path=context.artifacts.get("detector"))

    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:  # noqa: ANN001
        """Predict the faces in each image of column `image`: a JPEG, PNG, WebP, HEIC, ..., as image_bytes takes it.

        Returns the columns image (number of the image, from 0), those of photos.predict, and error: why an image has no
        prediction. params: {"cropped": True} if each image is one face, cropped as in the training data.
        """
        detector = None if (params or {}).get("cropped") else self.detector
        prepared = (
            photos.prepare(number, image_bytes(content), self.predictor, detector)
            for number, content in enumerate(model_input["image"])
        )
        rows = photos.table(prepared, self.predictor)
        missing = rows.columns[rows.isna().any()]
        return rows.astype(dict.fromkeys(missing, object)).mask(rows.isna(), None)  # null in JSON, which has no NaN


def image_bytes(value: object) -> bytes:
    """Bytes of an image that is given as such, as base64, {"b64": base64} or a data URL; of another, its text."""
    content = bytes(value) if isinstance(value, bytes | bytearray | memoryview) else str(value).encode()
    text = WRAPPING.sub(b"", content).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return content


set_model(FaceModel())
