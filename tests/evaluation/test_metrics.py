"""Scores against hand-computed values and scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as reference

from faces.evaluation import bootstrap, metrics
from faces.targets import TARGETS

SEX, AGE, ETHNICITY = TARGETS["sex"], TARGETS["age"], TARGETS["ethnicity"]


def test_age_scores_by_hand():
    true, known = np.array([10.0, 30.0, 80.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.0])
    decoded = {
        "age_predicted": np.array([12.0, 24.0, 80.0, 99.0]),
        "age_mean": np.array([13.0, 26.0, 80.0, 99.0]),
        "age_bin": np.array([0, 0, 3, 3]),
    }
    result = metrics.scores(AGE, metrics.statistics(AGE, true, known, decoded).sum(axis=0))
    assert result["n"] == 3
    assert result["mae"] == pytest.approx(8 / 3)
    assert result["rmse"] == pytest.approx(np.sqrt((9 + 16) / 3))
    assert result["bias"] == pytest.approx((2 - 6) / 3)
    assert result["within_5"] == pytest.approx(2 / 3)
    assert result["bin_accuracy"] == pytest.approx(2 / 3)
    assert result["mae_0-24"] == 2
    assert result["mae_25-49"] == 6
    assert np.isnan(result["mae_50-74"])
    assert result["mae_bin_average"] == pytest.approx(8 / 3)


def test_class_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 5, 300), rng.integers(0, 5, 300)
    table = metrics.statistics(ETHNICITY, true, np.ones(300), {"ethnicity_predicted": predicted})
    result = metrics.scores(ETHNICITY, table.sum(axis=0))
    assert result["accuracy"] == pytest.approx(reference.accuracy_score(true, predicted))
    assert result["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(true, predicted))
    assert result["mcc"] == pytest.approx(reference.matthews_corrcoef(true, predicted))
    assert result["macro_f1"] == pytest.approx(reference.f1_score(true, predicted, average="macro"))
    recall = reference.recall_score(true, predicted, average=None)
    assert [result[f"recall_{name}"] for name in ETHNICITY.classes] == pytest.approx(recall)


def test_no_labels_give_no_score():
    table = metrics.statistics(SEX, np.zeros(4), np.zeros(4), {"sex_predicted": np.zeros(4, int)})
    result = metrics.scores(SEX, table.sum(axis=0))
    assert result["n"] == 0
    assert np.isnan(result["accuracy"])
    assert np.isnan(result["mcc"])


def test_interval_of_an_accuracy_is_the_binomial_one():
    n, p = 400, 0.8
    right = np.arange(n) < n * p
    table = metrics.statistics(SEX, np.zeros(n), np.ones(n), {"sex_predicted": (~right).astype(int)})
    low, high = metrics.intervals(SEX, bootstrap.resample([table], np.arange(n), 4000, 0)[0], 0.95)["accuracy"]
    half = 1.96 * np.sqrt(p * (1 - p) / n)
    assert low == pytest.approx(p - half, abs=0.006)
    assert high == pytest.approx(p + half, abs=0.006)


def test_tables_have_the_same_resamples_and_sums():
    tables, people = [np.arange(8.0).reshape(4, 2), np.ones((4, 1))], np.array(["a", "b", "b", "c"])
    first, second = bootstrap.resample(tables, people, 300, 0)
    assert (first.shape, second.shape) == ((300, 2), (300, 1))
    counts = np.concatenate([*bootstrap.counts(3, 300, 0)])  # of a, b and c
    assert np.array_equal(first, counts @ [[0, 1], [6, 8], [6, 7]])
    assert np.array_equal(second[:, 0], counts @ [1, 2, 1])


def test_directions():
    assert metrics.higher_is_better("accuracy")
    assert not metrics.higher_is_better("mae")
    assert metrics.higher_is_better("bias") is None
