"""What MLflow serves: picture bytes in (column `image`), one row of predictions a picture out."""

import mlflow
import pandas as pd

from stages.lib.predictor import Predictor


class FaceModel(mlflow.pyfunc.PythonModel):
    """An exported model behind MLflow's pyfunc interface."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Open the ONNX file."""
        self.predictor = Predictor(context.artifacts["onnx"])

    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:  # noqa: ANN001
        """Predict for each picture of column `image`: the bytes of a JPEG, PNG or WebP of one framed face."""
        return self.predictor.predict([bytes(content) for content in model_input["image"]])


mlflow.models.set_model(FaceModel())
