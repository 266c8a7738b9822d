"""Teachers predict the faces that they may predict, and continue where they were stopped."""

import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from faces.data import records
from faces.training import callbacks, loop, reproducibility, soft_targets
from stages import clean, download, pack, parse_labels, split, teachers
from tests.conftest import ROOT

SMALL = {
    r"^  faces: \d+": "  faces: 200",
    r"^  side: 104 ": "  side: 36 ",
    r"^  image_size: 96 ": "  image_size: 32 ",
    r"image_size: 48, crop: 96, ": "",
}
SET = "dataset: utkface, variant: cropped, network: residual"
ROW = "{targets: [sex], options: {widths: [4], blocks: [1]}, budget: {epochs: 1}}"


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
        parse_labels.main("utkface")
        pack.main("utkface", "cropped")
        clean.main("utkface")
        split.main("utkface")
    return folder


@pytest.fixture
def training_faces(sample, project):
    """Ids of the training faces of a small sample, packed and split."""
    shutil.copytree(sample, project, dirs_exist_ok=True)
    rows = records.read("data/splits/utkface.csv")
    return rows.loc[rows["part"] == "train", "face_id"].to_numpy()


def test_soft_targets_are_read_by_face(tmp_path):
    p = np.array([[0.25, 0.75], [np.nan, np.nan], [1.0, 0.0]])
    soft_targets.write(tmp_path, np.array(["a", "b", "c"]), {"sex": p})
    read = soft_targets.read(tmp_path, np.array(["c", "x", "b", "a"]), ["sex", "age"])
    assert set(read) == {"sex"}
    assert read["sex"][[0, 3]].tolist() == [[1, 0], [0.25, 0.75]]
    assert np.isnan(read["sex"][1:3]).all()


def test_soft_targets_have_the_same_bytes_on_any_python(tmp_path):
    soft_targets.write(tmp_path, np.array(["a"]), {"sex": np.array([[0.5, 0.5]])})
    content = (tmp_path / soft_targets.FILE).read_bytes()
    assert hashlib.sha256(content).hexdigest()[:16] == "06c1832189c4bc34"


def test_without_teachers_there_are_no_soft_targets(tmp_path):
    soft_targets.write(tmp_path, np.array([], str), {})
    assert soft_targets.read(tmp_path, np.array(["a"]), ["sex"]) == {}


def test_the_mean_is_over_teachers_that_predict_the_face():
    nan = [np.nan, np.nan]
    predicted = ({"sex": np.array([[0.2, 0.8], nan, nan])}, {"sex": np.array([[0.6, 0.4], [0.9, 0.1], nan])})
    mean = teachers.mean(predicted)["sex"]
    assert mean[:2].tolist() == [pytest.approx([0.4, 0.6]), [0.9, 0.1]]
    assert np.isnan(mean[2]).all()


def test_every_face_is_in_one_fold():
    ids = np.array([f"face{i}" for i in range(300)])
    folds = np.stack([teachers.fold(ids, number, 3) for number in range(3)])
    assert (folds.sum(axis=0) == 1).all()
    assert folds.sum(axis=1).min() > 70


@pytest.mark.parametrize("out_of_fold", [True, False])
def test_teachers_predict_and_are_not_trained_twice(training_faces, edit, monkeypatch, out_of_fold):
    edit(
        r"^teachers: .*",
        f"teachers: {{two: {{{SET}, out_of_fold: {str(out_of_fold).lower()}, models: [{ROW}, {ROW}]}}}}",
    )
    calls, fit = [], loop.fit

    def counted(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*args, **kwargs)

    monkeypatch.setattr(loop, "fit", counted)
    monkeypatch.setattr(reproducibility, "prepare", lambda *_: None)  # other tests have set threads by now
    with pytest.raises(KeyboardInterrupt):
        teachers.main("two")
    teachers.main("two")
    assert len(calls) == 3  # one, the one that was stopped, and that one again
    p = soft_targets.read(Path("data/soft_targets/two"), training_faces, ["sex"])["sex"]
    assert np.allclose(p.sum(axis=1), 1)
    first, again = len(calls[0][1]), len(calls[2][1])
    assert first + again == len(training_faces) if out_of_fold else first == again == len(training_faces)


def test_assistants_learn_from_the_teachers_and_replace_them(training_faces, edit, monkeypatch):
    second = ROW.replace("{", "{seed: 2, ", 1)
    edit(r"^teachers: .*", f"teachers: {{two: {{{SET}, models: [{ROW}], assistants: [{second}]}}}}")
    soft, predicted, fit, predict = [], [], loop.fit, callbacks.probabilities

    def watched_fit(*args, **options):
        soft.append(options["soft_targets"])
        return fit(*args, **options)

    def watched_predict(*args, **options):
        predicted.append(predict(*args, **options))
        return predicted[-1]

    monkeypatch.setattr(reproducibility, "prepare", lambda *_: None)
    monkeypatch.setattr(loop, "fit", watched_fit)
    monkeypatch.setattr(callbacks, "probabilities", watched_predict)
    teachers.main("two")
    assert soft[0] is None
    written = soft_targets.read(Path("data/soft_targets/two"), training_faces, ["sex"])["sex"]
    half = len(predicted) // 2
    first, second = (np.concatenate([p["sex"] for p in part]) for part in (predicted[:half], predicted[half:]))
    first, second = first[-len(written) :], second[-len(written) :]
    np.testing.assert_allclose(soft[1]["sex"], first, atol=1e-3)
    np.testing.assert_allclose(written, second, atol=1e-3)
    assert np.abs(first - second).max() > 0.01
    assert set(records.read("data/soft_targets/two/history.csv")["teacher"]) == {"teacher 1", "assistant 1"}
