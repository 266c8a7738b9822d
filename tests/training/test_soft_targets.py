"""Teachers speak of the faces that they may speak of, and go on where they were stopped."""

import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from faces.data import records
from faces.training import callbacks, loop, reproducibility, soft_targets
from stages import clean, download, pack, parse_labels, split, teach
from tests.conftest import ROOT

SMALL = {
    r"^  faces: \d+": "  faces: 200",
    r"^  side: 104 ": "  side: 36 ",
    r"^  image_size: 96 ": "  image_size: 32 ",
    r"image_size: 48, crop: 96, ": "",
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A folder with a small sample, packed and split; tests take copies of it."""
    folder = tmp_path_factory.mktemp("sample")
    text = (ROOT / "params.yaml").read_text()
    for old, new in SMALL.items():
        text, count = re.subn(old, new, text, flags=re.MULTILINE)
        assert count == 1, old
    (folder / "params.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        download.main("utkface", "cropped")
        pack.main("utkface", "cropped")
        parse_labels.main("utkface")
        clean.main("utkface")
        split.main("utkface")
    return folder


@pytest.fixture
def training_faces(sample, project):
    """Ids of the training faces of a small sample, packed and split."""
    shutil.copytree(sample, project, dirs_exist_ok=True)
    rows = records.read("data/splits/utkface.csv")
    return rows.loc[rows["part"] == "train", "face_id"].to_numpy()


def test_a_lesson_is_read_by_face(tmp_path):
    said = np.array([[0.25, 0.75], [np.nan, np.nan], [1.0, 0.0]])
    soft_targets.write(tmp_path, np.array(["a", "b", "c"]), {"sex": said})
    found = soft_targets.read(tmp_path, np.array(["c", "x", "b", "a"]), ["sex", "age"])
    assert set(found) == {"sex"}
    assert found["sex"][[0, 3]].tolist() == [[1, 0], [0.25, 0.75]]
    assert np.isnan(found["sex"][1:3]).all()


def test_a_lesson_has_the_same_bytes_on_any_python(tmp_path):
    soft_targets.write(tmp_path, np.array(["a"]), {"sex": np.array([[0.5, 0.5]])})
    content = (tmp_path / soft_targets.FILE).read_bytes()
    assert hashlib.sha256(content).hexdigest()[:16] == "06c1832189c4bc34"


def test_no_teachers_teach_nothing(tmp_path):
    soft_targets.write(tmp_path, np.array([], str), {})
    assert soft_targets.read(tmp_path, np.array(["a"]), ["sex"]) == {}


def test_the_mean_is_of_those_that_speak():
    nan = [np.nan, np.nan]
    said = ({"sex": np.array([[0.2, 0.8], nan, nan])}, {"sex": np.array([[0.6, 0.4], [0.9, 0.1], nan])})
    found = teach.mean(said)["sex"]
    assert found[:2].tolist() == [pytest.approx([0.4, 0.6]), [0.9, 0.1]]
    assert np.isnan(found[2]).all()


def test_every_face_is_left_out_once():
    ids = np.array([f"face{i}" for i in range(300)])
    out = np.stack([teach.left_out(ids, number, 3) for number in range(3)])
    assert (out.sum(axis=0) == 1).all()
    assert out.sum(axis=1).min() > 70


@pytest.mark.parametrize("held_out", [True, False])
def test_teachers_speak_and_are_not_trained_twice(training_faces, edit, monkeypatch, held_out):
    row = "{dataset: utkface, variant: cropped, network: residual, options: {widths: [4], blocks: [1]}, targets: [sex]"
    budget = "budget: {epochs: 1}}"
    edit(r"^  none: .*", f"  none: {{held_out: {str(held_out).lower()}, teachers: [{row}, {budget}, {row}, {budget}]}}")
    calls, fit = [], loop.fit

    def counted(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*args, **kwargs)

    monkeypatch.setattr(loop, "fit", counted)
    monkeypatch.setattr(reproducibility, "prepare", lambda *_: "float32")  # other tests have set threads by now
    with pytest.raises(KeyboardInterrupt):
        teach.main("none")
    teach.main("none")
    assert len(calls) == 3  # one, the one that was stopped, and that one again
    said = soft_targets.read(Path("data/lessons/none"), training_faces, ["sex"])["sex"]
    assert np.allclose(said.sum(axis=1), 1)
    first, again = len(calls[0][1]), len(calls[2][1])
    assert first + again == len(training_faces) if held_out else first == again == len(training_faces)


def test_assistants_learn_from_the_teachers_and_speak_in_their_place(training_faces, edit, monkeypatch):
    row = "{dataset: utkface, variant: cropped, network: residual, options: {widths: [4], blocks: [1]}, targets: [sex]"
    first, second = (f"[{row}, budget: {{epochs: 1}}, train: {{seed: {seed}}}}}]" for seed in (1, 2))
    edit(r"^  none: .*", f"  none: {{teachers: {first}, assistants: {second}}}")
    taught, said, fit, speak = [], [], loop.fit, callbacks.probabilities
    monkeypatch.setattr(reproducibility, "prepare", lambda *_: "float32")
    monkeypatch.setattr(loop, "fit", lambda *args: (taught.append(args[-2]), fit(*args))[1])
    monkeypatch.setattr(callbacks, "probabilities", lambda *args: (said.append(speak(*args)), said[-1])[1])
    teach.main("none")
    assert taught[0] is None
    told = soft_targets.read(Path("data/lessons/none"), training_faces, ["sex"])["sex"]
    half = len(said) // 2
    first, second = (np.concatenate([each["sex"] for each in part]) for part in (said[:half], said[half:]))
    first, second = first[-len(told) :], second[-len(told) :]
    np.testing.assert_allclose(taught[1]["sex"], first, atol=1e-3)
    np.testing.assert_allclose(told, second, atol=1e-3)
    assert np.abs(first - second).max() > 0.01
    assert set(records.read("data/lessons/none/history.csv")["teacher"]) == {"teacher 1", "assistant 1"}
