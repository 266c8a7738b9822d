"""Digits of committed numbers."""

import math

import numpy as np
import pandas as pd
import pytest

from faces import scores, targets
from faces.evaluation import metrics

DIGITS = {"mae": 2, "age_mae": 2, "age MAE": 2, "val_age_percentile_gap": 2, "width": 1, "group_width": 0, "score": 3}
NOTHING = {f"{name}_{column}": np.zeros(1) for name in targets.TARGETS for column in ("predicted", "mean", "bin")}


@pytest.mark.parametrize(("score", "digits"), DIGITS.items())
def test_a_score_has_its_digits_under_any_of_its_names(score, digits):
    assert scores.digits(score) == digits


def test_a_number_is_rounded_as_it_is_printed():
    assert scores.number(2.675, "mae") == float(f"{2.675:.2f}") == 2.67
    assert math.copysign(1, scores.number(-1e-9, "rmse")) == 1
    assert math.isnan(scores.number(math.nan, "mae"))


def test_rows_are_rounded_by_their_score_or_else_by_column():
    rows = pd.DataFrame({"score": ["mae", "accuracy"], "n": [7, 8], "value": [4.12345, 0.98765], "p": [0.0123, 1.0]})
    assert scores.table(rows).to_numpy().tolist() == [["mae", 7, 4.12, 0.012], ["accuracy", 8, 0.988, 1.0]]
    named = scores.table(rows.drop(columns="score"), pd.Series(["accuracy", "mae"]))
    assert named["value"].tolist() == [4.123, 0.99]
    by_column = scores.table(pd.DataFrame({"epoch": [1], "val_age_mae": [4.12345], "loss": [8.63451]}))
    assert by_column.to_numpy().tolist() == [[1, 4.12, 8.635]]


def test_tables_list_scores_that_exist_in_their_order():
    assert scores.keys("card") == ["age_mae", "age_rmse"] + [
        f"{name}_{score}" for name in ("sex", "ethnicity") for score in ("accuracy", "balanced_accuracy")
    ]
    assert scores.headlines()[2:4] == [
        ("age 5-bin accuracy", "age", "bin_accuracy"),
        ("sex accuracy", "sex", "accuracy"),
    ]
    for target in targets.TARGETS.values():
        formulas = metrics.scores(target, metrics.statistics(target, *[np.zeros(1)] * 2, NOTHING))
        assert {score.name for score in scores.listed("metrics", target.kind)} <= set(formulas)
    rows = pd.DataFrame({"target": ["age", "age", "sex"], "score": ["rmse", "bias", "accuracy"]})
    assert scores.select(rows, "gaps")["score"].tolist() == ["bias", "accuracy"]
    assert not len(scores.select(rows[:0], "gaps"))


def test_an_axis_has_title_and_unit():
    labels = [scores.axis_label(score, 0.9) for score in ("mae", "accuracy", "coverage")]
    assert labels == ["MAE (years)", "accuracy", "share inside the 90% interval"]
