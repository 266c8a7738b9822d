"""Labels in, predictions out."""

import numpy as np
import pytest

from faces import targets
from faces.targets import TARGETS


def test_unknown_labels_are_masked():
    values, known = targets.encode(TARGETS["age"], np.array([3.0, np.nan]))
    assert values.tolist() == [3, 0]
    assert known.tolist() == [1, 0]
    values, known = targets.encode(TARGETS["sex"], np.array(["female", "", None, np.nan], object))
    assert values.tolist() == [1, 0, 0, 0]
    assert known.tolist() == [1, 0, 0, 0]


def test_strange_labels_are_errors():
    with pytest.raises(ValueError, match="'woman' is not one of male, female"):
        targets.encode(TARGETS["sex"], np.array(["woman"]))
    with pytest.raises(ValueError, match="outside 0 to 124"):
        targets.encode(TARGETS["age"], np.array([125.0]))


def test_median_and_mean_of_age():
    p = np.zeros((3, 125))
    p[0, 30] = 1
    p[1, [20, 40]] = 0.25, 0.75
    p[2, [10, 11]] = 0.5
    result = targets.decode(TARGETS["age"], p)
    # all on one year; 0.25 below 40 and the rest on it; the border of two years, either of which would do
    assert result["age_predicted"].tolist() == [30, 40, 10]
    assert result["age_mean"] == pytest.approx([30, 35, 10.5])
    assert result["age_bin"].tolist() == [1, 1, 0]


def test_age_bins():
    assert targets.age_bin(np.array([0, 24.9, 25, 99, 100, 124, np.nan])).tolist() == [0, 0, 1, 3, 4, 4, -1]
