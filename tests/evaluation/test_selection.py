"""The scores that training uses, against hand-computed values and the scores of all kinds."""

import numpy as np
import pytest

from faces.evaluation import metrics, selection
from faces.targets import TARGETS, decode

SEX, AGE = TARGETS["sex"], TARGETS["age"]


def test_percentile_gap_by_hand():
    true = np.arange(101.0)
    assert selection.percentile_gap(true, true + 2) == pytest.approx(8)
    assert np.isnan(selection.percentile_gap(np.array([]), np.array([])))


def test_skill_is_0_at_the_floor_and_1_when_perfect():
    values, known = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.0])
    assert selection.dummy_prediction(SEX, values, known) == 1
    assert selection.skill(SEX, values, known, 2 / 3, 1.0) == pytest.approx(0)
    assert selection.skill(SEX, values, known, 1.0, 1.0) == pytest.approx(1)
    assert selection.dummy_prediction(AGE, np.array([10.0, 20.0, 90.0]), np.ones(3)) == 20


def test_scores_and_signs_are_those_of_metrics():
    rng = np.random.default_rng(0)
    labels, decoded, expected = {}, {}, {}
    for name, target in TARGETS.items():
        values, known = rng.integers(0, target.units, 90).astype(np.float32), rng.integers(0, 2, 90).astype(np.float32)
        labels[name] = values, known
        decoded |= decode(target, rng.random((90, target.units)) ** 9)
        result = metrics.scores(target, metrics.statistics(target, values, known, decoded).sum(axis=0))
        expected[f"{name}_{target.monitors[0]}"] = result[target.monitors[0]]
    computed = selection.evaluate(list(TARGETS), labels, decoded, dict.fromkeys(TARGETS, 1.0))
    assert {name: computed[name] for name in expected} == expected
    monitors = [f"{name}_{score}" for name, target in TARGETS.items() for score in target.monitors]
    assert list(computed) == [*monitors, "score"]
    for name in computed:
        assert selection.signed(2.0, name) == (2 if metrics.higher_is_better(name.split("_", 1)[-1]) else -2)


def test_the_scores_are_the_means_of_those_of_faces():
    rng = np.random.default_rng(1)
    labels, decoded = {}, {}
    for name, target in TARGETS.items():
        values, known = rng.integers(0, target.units, 90).astype(np.float32), rng.integers(0, 2, 90).astype(np.float32)
        labels[name] = values, known * (name != "ethnicity")  # without any label, no part in the score
        decoded |= decode(target, rng.random((90, target.units)) ** 9)
    given = list(TARGETS), labels, decoded, {"age": 40.0, "sex": 1.0, "ethnicity": 2.0}
    scores, by_face = selection.evaluate(*given), selection.face_scores(*given)
    for name in ("age_mae", "sex_accuracy", "score"):
        assert np.nanmean(by_face[name]) == pytest.approx(scores[name], abs=1e-6)
    assert np.isnan(by_face["ethnicity_accuracy"]).all()
    assert (np.isfinite(by_face["age_mae"]) == (labels["age"][1] > 0)).all()
    assert np.isfinite(by_face["score"]).all()


def test_a_target_without_labels_has_no_part_in_the_score():
    labels = {"age": (np.zeros(3, np.float32), np.zeros(3)), "sex": (np.array([0.0, 1, 1]), np.ones(3))}
    decoded = {"age_predicted": np.zeros(3), "sex_predicted": np.array([0, 1, 1])}
    computed = selection.evaluate(["age", "sex"], labels, decoded, {"age": 0.0, "sex": 1.0})
    assert np.isnan([computed["age_mae"], computed["age_percentile_gap"]]).all()
    assert computed["score"] == computed["sex_accuracy"] == 1
    assert np.isnan(selection.evaluate(["age"], labels, decoded, {"age": 0.0})["score"])
