"""The dummy baseline's predictions by hand, and which models are told apart from it."""

import numpy as np
import pandas as pd
import pytest

from faces import params
from faces.evaluation import dummy_baseline, score_tables

SETTINGS = params.Evaluate(min_group_size=20, bootstrap_samples=1000, confidence=0.95, seed=0)
CONSTANTS = {"age": 30.0, "sex": 1.0}


def rows(n, right, years=4.0):
    """Test faces, half of them male, of which a share has the right sex predicted, and ages off by so many years."""
    sex = np.array(["male", "female"] * (n // 2))
    wrong = np.where(sex == "male", "female", "male")
    age = np.arange(n) % 60.0
    predicted = np.where(np.arange(n) < right * n, sex, wrong)
    ids = [f"f{i}" for i in range(n)]
    ages = {"age": age, "age_predicted": age + years, "age_mean": age + years, "age_bin": "0-24"}
    return pd.DataFrame({"face_id": ids, "group": ids, "part": "test", **ages, "sex": sex, "sex_predicted": predicted})


def test_every_face_is_predicted_the_constants():
    dummy = dummy_baseline.predicted(rows(60, 1.0), CONSTANTS)
    assert set(dummy["age_predicted"]) == set(dummy["age_mean"]) == {30.0}
    assert set(dummy["age_bin"]) == {"25-49"}
    assert set(dummy["sex_predicted"]) == {"female"}
    scores = score_tables.values(dummy)
    assert scores["age_mae"] == 15.0  # of 0 to 59 years: 30 at 0, 0 at 30, 29 at 59
    assert scores["sex_accuracy"] == 0.5


@pytest.mark.parametrize(
    ("right", "years", "useless"),
    [(0.95, 4.0, []), (0.5, 4.0, ["sex"]), (0.3, 4.0, ["sex"]), (0.95, 15.0, ["age"]), (0.56, 14.5, ["age", "sex"])],
)
def test_a_model_is_better_only_where_the_whole_interval_is(right, years, useless):
    compared = dummy_baseline.comparison(rows(120, right, years), CONSTANTS, SETTINGS)
    assert dummy_baseline.useless({dummy_baseline.KEY: compared}) == useless
    assert compared["age"]["n"] == 120
    assert (compared["age"]["value"], compared["age"]["dummy_baseline"]) == (years, 15.0)
    assert compared["age"]["difference"] == pytest.approx(years - 15)
    assert compared["sex"]["dummy_baseline"] == 0.5
    for row in compared.values():
        assert row["low"] <= row["difference"] <= row["high"]


def test_the_scores_of_a_part_have_the_dummy_baselines_beside_them():
    table = rows(60, 0.9)
    scored = score_tables.part_scores(table, dummy_baseline.predicted(table, CONSTANTS), "test", SETTINGS)
    at = scored.set_index(["target", "score", "group"])["dummy_baseline"]
    assert at["age", "mae", ""] == 15.0
    assert at["age", "mae", "0-24"] == 18.0  # 30 less the mean of 0 to 24
    assert (at["sex", "recall", "female"], at["sex", "recall", "male"]) == (1.0, 0.0)
