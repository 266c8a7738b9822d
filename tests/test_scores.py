"""Digits of committed numbers."""

import math

import pandas as pd
import pytest

from faces import scores


@pytest.mark.parametrize(
    ("score", "digits"),
    [("mae", 2), ("age_mae", 2), ("age MAE", 2), ("val_age_percentile_gap", 2), ("sex_accuracy", 3), ("score", 3)],
)
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
