"""What the tabs of the page Models compute, by hand-computed values."""

import numpy as np
import pandas as pd
import pytest

from app.models import example_faces, groups, learning_curves
from faces.targets import TARGETS

PREDICTIONS = pd.DataFrame(
    {
        "age": [11.0, 12, 19, 20, np.nan],
        "age_predicted": [12.0, 10, 19, 26, 30],
        "age_mean": [14.0, 12, 15, 20, 30],
        "sex": ["male", "female", "", "male", "male"],
        "sex_predicted": ["male", "male", "male", "female", "male"],
        "sex_p_male": [0.9, 0.6, 0.5, 0.2, 0.7],
        "sex_p_female": [0.1, 0.4, 0.5, 0.8, 0.3],
    }
)


def test_decades_are_scored_where_enough_faces_are_labelled():
    known = PREDICTIONS[PREDICTIONS["age"].notna()]
    mae = groups.by_decade(known, "age", "mae", min_faces=2)
    assert mae.to_dict("records") == [{"who": "both", "age": 15, "value": 1.0, "n": 3}]
    rmse = groups.by_decade(known, "age", "rmse", min_faces=3)["value"]
    assert rmse.tolist() == [pytest.approx(np.sqrt((9 + 0 + 16) / 3))]
    accuracy = groups.by_decade(known, "sex", "accuracy", min_faces=1)
    assert accuracy[["age", "who", "value", "n"]].to_numpy().tolist() == [
        [15, "both", 0.5, 2], [25, "both", 0.0, 1], [15, "female", 0.0, 1], [15, "male", 1.0, 1], [25, "male", 0.0, 1]
    ]  # fmt: skip


def test_errors_are_computed_for_each_face():
    assert example_faces.errors(PREDICTIONS, TARGETS["age"]).fillna(-1).tolist() == [1, 2, 0, 6, -1]
    assert example_faces.errors(PREDICTIONS, TARGETS["sex"]).round(6).fillna(-1).tolist() == [0, 0.6, -1, 0.8, 0]


def test_true_and_predicted_are_counted():
    ages = groups.histograms(PREDICTIONS, "age")
    assert ages.to_numpy().tolist() == [
        [12.5, 2, "true"], [17.5, 1, "true"], [22.5, 1, "true"],
        [12.5, 2, "predicted"], [17.5, 1, "predicted"], [27.5, 1, "predicted"],
    ]  # fmt: skip
    sexes = groups.confusion(PREDICTIONS, TARGETS["sex"])
    assert sexes[["true", "predicted", "faces"]].to_numpy().tolist() == [
        ["male", "male", 2], ["male", "female", 1], ["female", "male", 1], ["female", "female", 0]
    ]  # fmt: skip
    assert sexes["share"].round(3).tolist() == [0.667, 0.333, 1, 0]


def test_curves_are_grouped_by_unit():
    names = ["epoch", "loss", "val_age_mae", "val_age_percentile_gap", "val_sex_accuracy", "val_score"]
    assert learning_curves.by_unit(names) == {
        "loss": ["loss"],
        "years": ["val_age_mae"],
        "share": ["val_sex_accuracy", "val_score"],
    }
