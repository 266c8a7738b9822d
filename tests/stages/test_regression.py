"""A planted regression: the labels of one group are scrambled in training, and the gate names that group."""

import re
import subprocess
import sys

import numpy as np
import pytest

from faces import params
from faces.data import records
from faces.evaluation import predictions
from faces.gate import baselines, decisions
from tests.conftest import ROOT
from tests.stages.test_pipeline import dvc

pytestmark = pytest.mark.slow
MODEL = "utkface-cropped"


def test_a_group_whose_labels_are_scrambled_in_training_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    path = folder / "params.yaml"
    path.write_text(re.sub(r"    trials: \d+", "    trials: 0", path.read_text()))
    dvc(folder, "repro", "split@utkface", "pack@utkface-cropped", "no_teachers")
    split = folder / "data/splits/utkface.csv"
    rows = records.read(split)
    women = (rows["part"] != "test") & (rows["sex"] == "female")
    rows.loc[women, "sex"] = np.random.default_rng(0).choice(["male", "female"], women.sum())
    records.write(rows, split)
    for stage in ("tune", "train", "calibrate", "evaluate"):
        subprocess.run([sys.executable, "-m", f"stages.{stage}", MODEL], cwd=folder, check=True)
    monkeypatch.chdir(folder)
    p = params.load()
    now = predictions.read(MODEL)
    numbers = predictions.scores(MODEL)["test"]
    baseline = baselines.load("utkface-sample")
    baseline.metrics = {MODEL: baseline.metrics[MODEL]}
    result, table, _ = decisions.decide({MODEL: now}, {MODEL: numbers}, baseline, {}, p.gate, p.evaluate)
    assert result["verdict"] == decisions.REGRESSED
    worse = table[table["verdict"] == decisions.REGRESSED]
    assert set(worse["target"]) == {"sex"}
    assert "female" in set(worse["slice"])
    assert not any(name.endswith("male") and not name.endswith("female") for name in worse["slice"])
