"""What MLflow serves: pictures' bytes in (column `image`), one row of predictions a face out."""

import mlflow
import pandas as pd

from faces.images import detection
from faces.inference import photos
from faces.inference.predictor import Predictor


class FaceModel(mlflow.pyfunc.PythonModel):
    """An exported model behind MLflow's pyfunc interface."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Open the ONNX file, and the detector of faces."""
        self.predictor, self.finder = Predictor(context.artifacts["onnx"]), detection.Finder()

    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:  # noqa: ANN001
        """Predict the faces in each picture of column `image`: the bytes of a JPEG, PNG, WebP, HEIC, ...

        Out come image (the picture's number, from 0), the columns of photos.told, and error, which says why a picture
        has no face. params: {"cropped": True} where each picture is one face, framed as the model knows them.
        """
        finder = None if (params or {}).get("cropped") else self.finder
        prepared = (
            photos.prepare(number, bytes(content), self.predictor, finder)
            for number, content in enumerate(model_input["image"])
        )
        return photos.table(prepared, self.predictor)


mlflow.models.set_model(FaceModel())
