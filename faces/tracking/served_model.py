"""The model that MLflow serves: image bytes in (column `image`), one row of predictions for each face out."""

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from faces.images import detection
from faces.inference import photos
from faces.inference.predictor import Predictor


class FaceModel(PythonModel):
    """An exported model behind MLflow's pyfunc interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the ONNX file and the face detector."""
        self.predictor = Predictor(context.artifacts["onnx"])
        self.detector = detection.FaceDetector(path=context.artifacts.get("detector"))

    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:  # noqa: ANN001
        """Predict the faces in each image of column `image`: the bytes of a JPEG, PNG, WebP, HEIC, ...

        Returns the columns image (number of the image, from 0), those of photos.predict, and error: why an image has no
        prediction. params: {"cropped": True} if each image is one face, cropped as in the training data.
        """
        detector = None if (params or {}).get("cropped") else self.detector
        prepared = (
            photos.prepare(number, bytes(content), self.predictor, detector)
            for number, content in enumerate(model_input["image"])
        )
        return photos.table(prepared, self.predictor)


set_model(FaceModel())
