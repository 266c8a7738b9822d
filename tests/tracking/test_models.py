"""A model's folder, registered or shipped, is complete: MLflow loads and serves it where this project is not."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import requests
import skimage.data
import yaml
from click.testing import CliRunner
from mlflow.models import cli
from PIL import Image

from faces.data.sample import drawing
from faces.images import detection
from faces.inference import photos
from faces.inference.predictor import SHIPPED, Predictor
from faces.tracking import models, runs, store
from tests import servers
from tests.conftest import ROOT, encoded

PREDICT = """
import json, pathlib, sys, mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = model.predict(pandas.DataFrame({"image": [pathlib.Path("photo.jpg").read_bytes(), b"text"]}))
files = [module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "faces"]
print(json.dumps({"rows": rows.to_dict("records"), "files": files, "cv2": "cv2" in sys.modules}))
"""
REMOVED = ("PYTHONPATH", "MLFLOW_TRACKING_URI", "DVC_ROOT")
KINDS = ("registered", "shipped", "written")  # the last as `make publish` would write it of the present code


@pytest.fixture
def source(request, tracked, tmp_path):
    """A model's folder of a kind."""
    if request.param == "shipped":
        return (ROOT / SHIPPED).parent
    if request.param == "written":
        (tmp_path / "written").mkdir()
        onnx = Path(shutil.copy(ROOT / SHIPPED, tmp_path / "written"))
        models.write_folder(onnx, drawing.example_picture())
        return onnx.parent
    client, experiment = store.open_experiment("faces-test")
    run = runs.find_or_create(client, experiment, "m", "key")
    logged = models.add_model(client, run, ROOT / SHIPPED, drawing.example_picture(), "ab" * 32)
    return Path(mlflow.artifacts.download_artifacts(logged.artifact_location))


@pytest.fixture
def expected(tmp_path):
    """What this project predicts of photo.jpg and of a text, in a new working folder that has the photo."""
    content = encoded(Image.fromarray(skimage.data.astronaut()))
    (tmp_path / "photo.jpg").write_bytes(content)
    predictor, detector = Predictor(ROOT / SHIPPED), detection.FaceDetector()
    return photos.table(
        (photos.prepare(i, x, predictor, detector) for i, x in enumerate((content, b"text"))), predictor
    )


def run(folder, *command):
    """Standard output of a command in a folder, with the programs beside its Python first."""
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=environment(command[0]), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def environment(python):
    """Variables of a process that knows nothing of this project, as in an activated environment of a Python."""
    kept = {name: value for name, value in os.environ.items() if name not in REMOVED}
    return kept | {"PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"}


def assert_predicts(python, model, folder, expected):
    """Assert that a Python that does not have this project loads a model's folder, and predicts as expected."""
    printed = json.loads(run(folder, python, "-I", "-c", PREDICT, model))
    assert_equal(printed["rows"], expected)
    assert printed["files"]
    assert all(Path(file).is_relative_to(model) for file in printed["files"])
    assert not printed["cv2"]


def assert_equal(rows, expected):
    rows = pd.DataFrame(rows)
    pd.testing.assert_frame_equal(rows, expected.astype(rows.dtypes), rtol=1e-4)
    assert rows["error"].tolist() == ["", "is no image"][: len(rows)]
    assert rows["sex"][0] == "female"


@pytest.mark.parametrize("source", KINDS, indirect=True)
def test_the_context_of_a_container_is_a_model_that_predicts_alone(source, expected, tmp_path):
    context = tmp_path / "context"
    done = CliRunner().invoke(cli.commands, ["generate-dockerfile", "-m", str(source), "-d", str(context)])
    assert done.exit_code == 0, done.output
    (model,) = (context / "model_dir").glob("**/MLmodel")
    assert f"COPY {model.parent.relative_to(context)} /opt/ml/model\n" in (context / "Dockerfile").read_text()
    flavor = yaml.safe_load(model.read_text())["flavors"]["python_function"]
    files = [models.MODEL_CODE, flavor["code"], *flavor["env"].values(), "requirements.txt"]
    files += [artifact["path"] for artifact in flavor["artifacts"].values()]
    assert [file for file in files if not (model.parent / file).exists()] == []
    assert_predicts(sys.executable, model.parent, tmp_path, expected)


@pytest.mark.parametrize("source", ["shipped", "written"], indirect=True)
def test_every_package_that_the_code_imports_is_required(source):
    lines = (source / "requirements.txt").read_text().replace("-", "_")
    required = {*re.findall(r"^[\w.]+", lines, re.MULTILINE), "pydantic_core"}  # which pydantic pins
    with zipfile.ZipFile(source / models.CODE) as code:
        modules = {name for file in code.namelist() for name in imported(code.read(file))} - {"faces"}
    packages = importlib.metadata.packages_distributions()
    names = {name: packages[name] for name in modules - sys.stdlib_module_names}
    assert {"numpy", "PIL", "ruamel"} <= {*names}
    assert [
        name for name, owners in names.items() if not required & {owner.replace("-", "_") for owner in owners}
    ] == []


def imported(source):
    """Top-level names of the modules that source code imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of a new environment without packages."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder / "bin/python"


@pytest.mark.slow
@pytest.mark.parametrize("source", ["registered", "shipped"], indirect=True)
def test_a_model_predicts_and_is_served_in_an_environment_of_its_requirements(source, python, expected, tmp_path):
    """The shipped model's requirements are the registered one's, and the detector's: one environment is enough."""
    model = Path(shutil.copytree(source, tmp_path / "copy"))
    run(tmp_path, python, "-m", "pip", "install", "--quiet", "-r", model / "requirements.txt")
    assert_predicts(python, model, tmp_path, expected)
    command = [python, "-I", "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    with servers.served([*map(str, command)], tmp_path, environment(python)) as port:
        assert_equal(servers.ask_as_documented(tmp_path, port), expected[:1])
        example = (model / "serving_input_example.json").read_bytes()
        address, kind = f"http://127.0.0.1:{port}/invocations", {"Content-Type": "application/json"}
        response = requests.post(address, data=example, headers=kind, timeout=60)
        assert [row["error"] for row in response.json()["predictions"]] == [""]
