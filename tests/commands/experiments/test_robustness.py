"""The table of robustness: paired differences, and how far predicted ages move."""

import numpy as np
import pandas as pd
import pytest

from commands.experiments import robustness
from faces import params
from faces.data import records
from faces.images import corruptions
from faces.inference.predictor import SHIPPED, Predictor
from faces.targets import TARGETS
from tests.conftest import ROOT, picture


def test_each_change_and_strength_has_a_row_a_score(monkeypatch):
    monkeypatch.setattr(corruptions, "CHANGES", {"blur, pixels": (corruptions.blur, (0.5, 3.0))})
    predictor = Predictor(ROOT / SHIPPED)
    images = np.stack([np.asarray(picture(seed, (96, 96))) for seed in range(6)])
    columns = {"age": [20.0, 30, 40, 50, 60, np.nan], "sex": ["male", "female"] * 3, "ethnicity": ["white"] * 6}
    faces = pd.DataFrame({"group": ["a", "a", "b", "c", "d", "e"], **columns}, index=[f"f{i}" for i in range(6)])
    table = pd.DataFrame(robustness.rows(images, faces, predictor, 0.95)).set_index(["strength", "target", "score"])
    assert len(table) == 3 * 4
    unchanged = table.loc[0.0]
    assert (unchanged["difference"] == 0).all()
    mae = table.loc[(3.0, "age", "mae")]
    assert mae["n"] == 5
    assert mae["value"] - unchanged.loc[("age", "mae"), "value"] == pytest.approx(mae["difference"])
    assert abs(mae["change_years"]) <= mae["absolute_change_years"]
    assert (
        table.loc[(3.0, "age", "mae"), "absolute_change_years"]
        > table.loc[(0.5, "age", "mae"), "absolute_change_years"]
    )


def test_ages_that_move_both_ways_have_a_small_mean_change():
    before, after = (pd.DataFrame({"age_predicted": ages}) for ages in ([20.0, 30.0], [22.0, 29.0]))
    assert robustness.moved(TARGETS["age"], before, after) == {"change_years": 0.5, "absolute_change_years": 1.5}
    assert robustness.moved(TARGETS["sex"], before, after) == {}


def test_the_pooled_faces_are_listed_once_and_may_not_be_trained_on(sampled):
    predictor, path = Predictor(ROOT / SHIPPED), sampled / "pooled.csv"
    row = params.load().models["utkface-cropped"]
    images, faces = robustness.pooled(row, predictor, path)
    split = records.read("data/splits/utkface.csv")
    parts = split["part"].value_counts()
    assert len(images) == len(faces) == parts["val"] + parts["calibration"] + parts["test"]
    assert images.shape[1:] == (96, 96, 3)
    records.write(split.replace({"part": {"val": "test"}}), "data/splits/utkface.csv")
    assert robustness.pooled(row, predictor, path)[1].index.tolist() == faces.index.tolist()
    records.write(split.replace({"part": {"val": "train"}}), "data/splits/utkface.csv")
    with pytest.raises(SystemExit, match=rf"{parts['val']} of its faces are in the training part"):
        robustness.pooled(row, predictor, path)
    records.write(split[split["part"] != "val"], "data/splits/utkface.csv")
    with pytest.raises(SystemExit, match=rf"{parts['val']} of \d+ faces are not in the split"):
        robustness.pooled(row, predictor, path)
