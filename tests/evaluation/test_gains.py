"""Paired differences on validation: their intervals hold the truth, and faces of one person are one observation."""

import numpy as np
import pytest

from faces.evaluation import gains


def test_an_interval_holds_the_difference_of_paired_values():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        first = rng.normal(5, 4, 150)
        gain = gains.interval(gains.paired(first + rng.gamma(0.3, 1, 150), first, np.arange(150)), 0.95)
        inside += gain["low"] <= 0.3 <= gain["high"]
        assert gain["high"] - gain["low"] < 0.5  # that of a single mean is 1.3 wide
    assert 910 <= inside <= 970


def test_three_photos_of_a_person_are_no_three_people():
    rng = np.random.default_rng(0)
    value = np.repeat(rng.normal(0, 1, 500), 3)
    one, three = (gains.paired(value, 0 * value, who) for who in (np.repeat(np.arange(500), 3), np.arange(1500)))
    assert one["difference"] == three["difference"] == pytest.approx(value.mean())
    assert one["standard_error"] == pytest.approx(np.sqrt(3) * three["standard_error"], rel=0.01)


def test_only_faces_that_both_know_are_compared():
    first, second, people = np.array([1.0, 2, np.nan, 4]), np.array([0.0, np.nan, 3, 1]), np.arange(4)
    gain = gains.paired(first, second, people)
    assert gain == {"difference": 2.0, "standard_error": pytest.approx(np.std([1, 3], ddof=1) / np.sqrt(2))}
    assert np.isnan(gains.interval(gains.paired(first[:2], second[:2], people[:2]), 0.95)["low"])


def test_the_trials_of_a_search_share_the_error_rate():
    gain = {"difference": 0.01, "standard_error": 0.005}
    alone, shared = gains.interval(gain, 0.95), gains.of_trials([{}, gain, gain], 0.95)
    assert alone["low"] == pytest.approx(0.01 - 1.96 * 0.005, abs=1e-5)
    assert shared == [{}, *[{"difference": 0.01, "low": pytest.approx(0.01 - 2.2414 * 0.005, abs=1e-5),
                             "high": pytest.approx(0.01 + 2.2414 * 0.005, abs=1e-5)}] * 2]  # fmt: skip
