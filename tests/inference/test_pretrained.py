"""Shipped files predict for synthetic faces what they predicted when they were made, on these library versions."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from commands.publish import model_files
from faces.data.sample import drawing
from faces.inference.predictor import SHIPPED, Predictor
from faces.tracking import lineage, models
from tests.conftest import ROOT

FOLDER = ROOT / "pretrained"
FILES = sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.onnx"))
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/*.keras"))
ALONE = """
import sys, keras, numpy as np
p = keras.models.load_model(sys.argv[1]).predict(np.load(sys.argv[2]), verbose=0)
np.savez(sys.argv[3], **p)
assert not any(name.startswith(("stages", "faces")) for name in sys.modules)
"""

pytestmark = pytest.mark.skipif(not FILES, reason="no model is shipped yet")


def expected(name):
    """Tolerance and probabilities that are stored beside a shipped model."""
    stored = json.loads((FOLDER / f"{name}.expected.json").read_text())
    return stored["tolerance"], {target: np.array(p) for target, p in stored["probabilities"].items()}


def assert_as_stored(predicted, name):
    """Assert that probabilities are those that are stored."""
    tolerance, stored = expected(name)
    assert set(stored) <= set(predicted)
    assert max(p.std(axis=0).max() for p in stored.values()) > 2 * tolerance  # other weights would be noticed
    for target, p in stored.items():
        assert p.shape[0] == model_files.EXAMPLES
        assert np.abs(predicted[target] - p).max() <= tolerance, target


@pytest.mark.parametrize("name", FILES)
def test_an_onnx_file_predicts_what_is_stored(name):
    model = Predictor(FOLDER / f"{name}.onnx", threads=1)
    assert model.metadata["kind"] != "sample"
    assert "age" not in model.metadata["targets"] or "scale" in model.fitted["age"]
    assert_as_stored(model.raw(model_files.synthetic_faces(model.metadata["image_size"])), name)


@pytest.fixture(scope="module", params=NAMES)
def alone(request, tmp_path_factory):
    """A name, and a folder where a process without this project ran its card's code, then its Keras file."""
    name, folder = request.param, tmp_path_factory.mktemp("alone")
    (code,) = re.findall(r"```python\n(.*?)```", (FOLDER / name / "README.md").read_text(), re.DOTALL)
    for path in (FOLDER / name).glob(f"{name}.*"):
        (folder / path.name).symlink_to(path)
    drawing.squares(1, 5, 200)[0].save(folder / "face.jpg", quality=95)
    size = Predictor(FOLDER / name / f"{name}.onnx").metadata["image_size"]
    np.save(folder / "images.npy", model_files.synthetic_faces(size))
    command = [sys.executable, "-c", f"{code}\nnp.save('image.npy', image)\n{ALONE}"]
    words = [FOLDER / name / f"{name}.keras", "images.npy", "predicted.npz"]
    done = subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return name, folder


def test_the_card_s_code_gives_the_model_the_same_input_as_this_project(alone):
    name, folder = alone
    expected = Predictor(FOLDER / name / f"{name}.onnx").file_to_input((folder / "face.jpg").read_bytes())
    assert np.array_equal(np.load(folder / "image.npy")[0], expected)


def test_the_keras_file_predicts_what_is_stored_without_this_project(alone):
    name, folder = alone
    with np.load(folder / "predicted.npz") as predicted:
        assert_as_stored(predicted, f"{name}/{name}")


@pytest.mark.parametrize("name", NAMES)
def test_only_the_8_bit_file_predicts_otherwise_for_the_mirror_image(name):
    model, fast = (Predictor(FOLDER / name / f"{name}.{kind}", threads=1) for kind in ("onnx", "int8.onnx"))
    if not model.metadata["recipe"]["train"]["tta_flip"]:
        pytest.skip("the model predicts without the mirror image")
    images = model_files.synthetic_faces(model.metadata["image_size"])
    for target, p in model.raw(images).items():
        np.testing.assert_allclose(p, model.raw(images[:, :, ::-1])[target], atol=1e-5)
        assert np.abs(fast.raw(images)[target] - fast.raw(images[:, :, ::-1])[target]).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_shipped_files_are_small_and_have_a_card(name):
    for kind in ("onnx", "int8.onnx", "keras"):
        assert (FOLDER / name / f"{name}.{kind}").stat().st_size <= 1e6 * model_files.MEGABYTES
    card = (FOLDER / name / "README.md").read_text()
    for part in ("## Use it", "## Scores", "Research only"):
        assert part in card
    assert "research" in (FOLDER / "LICENSE").read_text().lower()


def test_the_shipped_model_predicts_without_any_data(tmp_path):
    drawing.squares(1, 3, 200)[0].save(tmp_path / "face.jpg")
    command = [sys.executable, "-m", "faces.inference.predictor", str(tmp_path / "face.jpg")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    head, row = done.stdout.splitlines()
    assert {"image", "age", "age_low", "age_high", "sex", "ethnicity"} <= set(head.split())
    assert re.match(r"\s*face.jpg\s+\d+\.\d", row)


def test_the_folder_is_the_one_that_is_written_of_its_onnx_file(tmp_path):
    """Its code and versions of packages are those of its day."""
    folder = (ROOT / SHIPPED).parent
    shutil.copy(ROOT / SHIPPED, tmp_path)
    models.write_folder(tmp_path / SHIPPED.name, drawing.example_picture())
    shipped, written = (yaml.safe_load((place / "MLmodel").read_text()) for place in (folder, tmp_path))
    assert shipped["model_uuid"] == lineage.digest(ROOT / SHIPPED)[:32], "written for another file"
    for values in (shipped, written):
        values["flavors"]["python_function"].pop("python_version")
    assert written == shipped
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names <= {path.name for path in folder.iterdir()}
    assert (tmp_path / models.MODEL_CODE).read_text() == (folder / models.MODEL_CODE).read_text()
