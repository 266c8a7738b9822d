"""Noise on what models say, as large as another machine's last bits, changes no committed file.

Of the run in this folder: the stages after `train` run again in a copy of it, on its models' outputs with noise.
"""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from faces import params, scores
from faces.data import duplicates, labelled_faces
from faces.evaluation import bootstrap
from faces.inference.predictor import EMBEDDING, Predictor
from faces.reporting import plots
from stages import audit, calibrate, compare, evaluate, gate, report
from tests.conftest import ROOT

NOISE = 1e-7  # standard deviation: of probabilities, and of embeddings as a share
DRAWS = 20
SECONDS = 30  # that the draws of the short test may take
MADE = ("calibrated", "evaluated", "audits")  # of data/, by the stages that run again


@pytest.fixture(scope="module")
def once():
    """once(key, make): what make() gives, made the first time alone."""
    kept = {}
    return lambda key, make: kept[key] if key in kept else kept.setdefault(key, make())


@pytest.fixture
def again(tmp_path, monkeypatch, once):
    """again(seed) gives the files {path: bytes} that a run on noise of a seed leaves under reports/; None: no noise.

    What noise does not touch (images of faces, what is compared of them, resamples) is made once. So is what a model
    says without noise.
    """
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data").mkdir()
    for place in (ROOT / "data").iterdir():
        if place.name not in MADE:
            (tmp_path / "data" / place.name).symlink_to(place)
    pixels, outputs, counts, noise = labelled_faces.pixels, Predictor.outputs, bootstrap.counts, [None]
    thumbnails, near = duplicates.thumbnails, duplicates.near_pairs

    def seen(result, *view):
        return iter(once((str(result.pack.manifest), result.rows.tobytes(), view), lambda: [*pixels(result, *view)]))

    def predict(self, images, names):
        exact = once((self.metadata["name"], id(images), *names), lambda: outputs(self, images, names))
        return exact if noise[0] is None else {name: noisy(name, values, noise[0]) for name, values in exact.items()}

    def small(pack, rows):
        return once(("small", str(pack.manifest), rows.tobytes()), lambda: thumbnails(pack, rows))

    def alike(gray, least):
        return once((gray.tobytes(), least), lambda: near(gray, least))

    def synthetic(*sizes):
        return iter(once(sizes, lambda: [*counts(*sizes)]))

    monkeypatch.setattr(labelled_faces, "pixels", seen)
    monkeypatch.setattr(Predictor, "outputs", predict)
    monkeypatch.setattr(duplicates, "thumbnails", small)
    monkeypatch.setattr(duplicates, "near_pairs", alike)
    monkeypatch.setattr(bootstrap, "counts", synthetic)

    def run(seed):
        noise[0] = None if seed is None else np.random.default_rng(seed)
        shutil.rmtree(tmp_path / "reports", ignore_errors=True)
        for kept in ("baselines", "published"):
            shutil.copytree(ROOT / "reports" / kept, tmp_path / "reports" / kept)
        rerun(params.load())
        return files(tmp_path / "reports")

    return run


def noisy(name, values, rng):
    """Outputs (n, units) with noise. Probabilities stay above 0 (those below 5 * NOISE have less) and sum to 1."""
    if name == EMBEDDING:
        return values * (1 + NOISE * rng.standard_normal(values.shape))
    p = values + np.minimum(NOISE, values / 5) * np.clip(rng.standard_normal(values.shape), -4, 4)
    return p / p.sum(axis=1, keepdims=True)


def rerun(p):
    for stage in (calibrate, evaluate):
        for name in p.models:
            stage.main(name)
    for dataset in p.datasets:
        audit.main(dataset)
    for stage in (compare, gate, report):
        stage.main()


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def changed(one, other):
    return [path for path in sorted({*one, *other}) if one.get(path) != other.get(path)]


def draws(again, monkeypatch, seconds):
    """Files that differ from those of this folder, one list a draw, for as many draws as fit in the time.

    Images are drawn in the first draw alone: they show what the tables hold, and take half of the time.
    """
    made, began = files(ROOT / "reports"), time.monotonic()
    result = [changed(made, again(0))]
    monkeypatch.setattr(plots, "save", listed)
    while len(result) < DRAWS and time.monotonic() - began < seconds:
        result.append([path for path in changed(made, again(len(result))) if not path.endswith(".png")])
    return result


def listed(figure, path):
    """In the place of plots.save: an empty file, which the page lists."""
    Path(path).touch()


@pytest.mark.run
def test_no_committed_file_shows_noise(again, monkeypatch):
    assert changed(files(ROOT / "reports"), again(None)) == []
    result = draws(again, monkeypatch, SECONDS)
    assert sum(map(bool, result)) <= len(result) // DRAWS, result


@pytest.mark.run
def test_noise_is_seen_where_nothing_is_rounded(again, monkeypatch):
    monkeypatch.setattr(scores, "digits", lambda score: 12)
    exact = again(None)
    assert {"models/utkface-cropped/scores.csv", "models/utkface-cropped/subgroups.csv"} <= {*changed(exact, again(0))}


@pytest.mark.slow
@pytest.mark.skipif(not Path(ROOT, "data/calibrated").exists(), reason="`make repro` has not run in this folder")
def test_of_twenty_draws_one_at_most_shows_noise(again, monkeypatch):
    result = draws(again, monkeypatch, np.inf)
    assert sum(map(bool, result)) <= 1, result
