"""Models in MLflow's format: logged with a run, or in a folder that MLflow serves."""

import base64
import importlib.metadata
import platform
import urllib.parse
import urllib.request
from pathlib import Path

import mlflow
import pandas as pd
import yaml
from mlflow.entities import LoggedModel, Run
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.tracking import MlflowClient

from faces.images import detection
from faces.inference import photos
from faces.inference.predictor import Predictor
from faces.tracking import lineage

MODEL_CODE = "served_model.py"
REQUIREMENTS = (
    *("mlflow", "numpy", "onnx", "onnxruntime", "pandas", "pillow", "pillow-heif", "scipy", "pydantic"),
    *("pyyaml", "tqdm"),
)


def find_model(client: MlflowClient, run: Run, digest: str) -> LoggedModel | None:
    """Return a run's model by the sha256 of its ONNX file; None if it or its files are missing."""
    of_run = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    same = (model for model in of_run if model.tags.get("onnx_sha256") == digest)
    return next((model for model in same if files_exist(model.artifact_location)), None)


def files_exist(location: str) -> bool:
    """Whether a model's files are at a path or URL; assumed for files on a server."""
    url = urllib.parse.urlsplit(location)
    return url.scheme not in ("", "file") or Path(urllib.request.url2pathname(url.path), "MLmodel").exists()


def add_model(client: MlflowClient, run: Run, onnx: Path, example: bytes, digest: str) -> LoggedModel:
    """Log an exported model as a pyfunc of image bytes, unless the run has it with its files."""
    logged = find_model(client, run, digest)
    if logged is not None:
        return logged
    with mlflow.start_run(run_id=run.info.run_id, log_system_metrics=False):
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name(MODEL_CODE)),
            artifacts={"onnx": str(onnx), "detector": str(detection.weights())},
            code_paths=[str(Path(__file__).parents[1])],
            signature=signature(onnx, example),
            input_example=(pd.DataFrame({"image": [base64.b64encode(example).decode()]}), {"cropped": True}),
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in REQUIREMENTS],
            tags={"onnx_sha256": digest},
        )
    return client.get_logged_model(info.model_id)


def signature(onnx: Path, example: bytes) -> ModelSignature:
    """Inputs and outputs of a served model: images and the param `cropped`; the columns of photos.table.

    Images have type string: of those of type binary, MLflow decodes base64 in some forms of a request only.
    """
    predictor = Predictor(onnx)
    outputs = photos.table([photos.prepare(0, example, predictor, None)], predictor)
    outputs["image"] = outputs["image"].astype(float)
    return infer_signature(pd.DataFrame({"image": ["base64"]}), outputs, params={"cropped": False})


def write_folder(onnx: Path, example: bytes) -> None:
    """Make an ONNX file's folder usable by `mlflow models serve -m` and load_model, from this project's folder.

    The same file gives the same bytes.
    """
    model = Model(signature=signature(onnx, example), model_uuid=lineage.digest(onnx)[:32])
    model.add_flavor(
        mlflow.pyfunc.FLAVOR_NAME,
        loader_module="mlflow.pyfunc.loaders.code_model",
        model_code_path=MODEL_CODE,
        artifacts={"onnx": {"path": onnx.name, "uri": onnx.name}},
        code=None,
        env={},
        streamable=False,
        python_version=platform.python_version(),
        cloudpickle_version=importlib.metadata.version("cloudpickle"),
    )
    fields = {key: value for key, value in model.to_dict().items() if key != "utc_time_created"}
    onnx.with_name("MLmodel").write_text(yaml.safe_dump(fields))
    onnx.with_name(MODEL_CODE).write_text(
        '"""What MLflow runs of this folder: see MLmodel."""\n\n'
        "import faces.tracking.served_model  # noqa: F401, since it tells MLflow which model this is\n"
    )
