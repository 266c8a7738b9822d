"""Shipped files say of drawn faces what they said when they were made, on these versions of all libraries."""

import hashlib
import json
import re
import shutil
import subprocess
import sys

import mlflow
import numpy as np
import pandas as pd
import pytest
import skimage.data
import yaml
from PIL import Image

from commands.publish import model_files
from faces.data.sample import drawing
from faces.inference.predictor import SHIPPED, Predictor
from faces.tracking import models
from tests.conftest import ROOT, encoded

FOLDER = ROOT / "pretrained"
FILES = sorted(path.stem for path in FOLDER.glob("*.onnx"))
NAMES = sorted(path.stem for path in FOLDER.glob("*.keras"))
ALONE = """
import sys, keras, numpy as np
said = keras.models.load_model(sys.argv[1]).predict(np.load(sys.argv[2]), verbose=0)
np.savez(sys.argv[3], **said)
assert not any(name.startswith("stages") for name in sys.modules)
"""

pytestmark = pytest.mark.skipif(not FILES, reason="no model is shipped yet")


def expected(name):
    """Tolerance and probabilities that are kept beside a shipped model."""
    kept = json.loads((FOLDER / f"{name}.expected.json").read_text())
    return kept["tolerance"], {target: np.array(p) for target, p in kept["probabilities"].items()}


def held(said, name):
    """Assert that probabilities are those that are kept."""
    tolerance, wanted = expected(name)
    assert set(wanted) <= set(said)
    assert max(p.std(axis=0).max() for p in wanted.values()) > 2 * tolerance  # other weights would be seen
    for target, p in wanted.items():
        assert p.shape[0] == model_files.DRAWN
        assert np.abs(said[target] - p).max() <= tolerance, target


@pytest.mark.parametrize("name", FILES)
def test_an_onnx_file_says_what_it_said(name):
    model = Predictor(FOLDER / f"{name}.onnx", threads=1)
    assert model.about["kind"] != "sample"
    assert "age" not in model.about["targets"] or "scale" in model.fitted["age"]
    held(model.raw(model_files.drawn_faces(model.about["image_size"])), name)


@pytest.fixture(scope="module", params=NAMES)
def alone(request, tmp_path_factory):
    """A name and a folder where a process without this project typed what its card tells, and asked its Keras file."""
    name, folder = request.param, tmp_path_factory.mktemp("alone")
    (code,) = re.findall(r"```python\n(.*?)```", (FOLDER / f"{name}.md").read_text(), re.DOTALL)
    for path in FOLDER.glob(f"{name}.*"):
        (folder / path.name).symlink_to(path)
    drawing.squares(1, 5, 200)[0].save(folder / "face.jpg", quality=95)
    np.save(folder / "images.npy", model_files.drawn_faces(Predictor(FOLDER / f"{name}.onnx").about["image_size"]))
    command = [sys.executable, "-c", f"{code}\nnp.save('image.npy', image)\n{ALONE}"]
    words = [FOLDER / f"{name}.keras", "images.npy", "said.npz"]
    found = subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    return name, folder


def test_what_the_card_tells_to_type_shows_the_model_what_this_project_shows_it(alone):
    name, folder = alone
    wanted = Predictor(FOLDER / f"{name}.onnx").seen((folder / "face.jpg").read_bytes())
    assert np.array_equal(np.load(folder / "image.npy")[0], wanted)


def test_the_keras_file_says_what_it_said_without_this_project(alone):
    name, folder = alone
    with np.load(folder / "said.npz") as said:
        held(said, name)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_8_bit_file_tells_a_face_from_its_mirror_image(name):
    model, fast = (Predictor(FOLDER / f"{name}.{kind}", threads=1) for kind in ("onnx", "int8.onnx"))
    if model.about["recipe"]["train"]["views"] == 1:
        pytest.skip("the model looks at a face once")
    images = model_files.drawn_faces(model.about["image_size"])
    for target, p in model.raw(images).items():
        np.testing.assert_allclose(p, model.raw(images[:, :, ::-1])[target], atol=1e-5)
        assert np.abs(fast.raw(images)[target] - fast.raw(images[:, :, ::-1])[target]).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_shipped_files_are_small_and_have_a_card(name):
    for kind in ("onnx", "int8.onnx", "keras"):
        assert (FOLDER / f"{name}.{kind}").stat().st_size <= 1e6 * model_files.MEGABYTES
    card = (FOLDER / f"{name}.md").read_text()
    for part in ("## Use it", "## Scores", "Research only"):
        assert part in card
    assert "research" in (FOLDER / "LICENSE").read_text().lower()


def test_a_person_with_no_data_gets_a_prediction(tmp_path):
    drawing.squares(1, 3, 200)[0].save(tmp_path / "face.jpg")
    command = [sys.executable, "-m", "faces.inference.predictor", str(tmp_path / "face.jpg")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    head, row = found.stdout.splitlines()
    assert {"picture", "age", "age_low", "age_high", "sex", "ethnicity"} <= set(head.split())
    assert re.match(r"\s*face.jpg\s+\d+\.\d", row)


def test_the_folder_is_a_model_that_mlflow_loads(tmp_path):
    told = yaml.safe_load((FOLDER / "MLmodel").read_text())
    assert told["model_uuid"] == hashlib.sha256((ROOT / SHIPPED).read_bytes()).hexdigest()[:32], (
        "written for another file"
    )
    rows = mlflow.pyfunc.load_model(str(FOLDER)).predict(
        pd.DataFrame({"image": [encoded(Image.fromarray(skimage.data.astronaut())), b"text"]})
    )
    assert rows["sex"][0] == "female"
    assert rows["error"].tolist() == ["", "is no picture"]
    shutil.copy(ROOT / SHIPPED, tmp_path)
    models.write_folder(tmp_path / SHIPPED.name, drawing.example_picture())
    written = yaml.safe_load((tmp_path / "MLmodel").read_text())
    for values in (told, written):  # of the environment that wrote it
        values["flavors"]["python_function"].pop("python_version")
    assert written == told
    assert (tmp_path / "served_model.py").read_text() == (FOLDER / "served_model.py").read_text()
