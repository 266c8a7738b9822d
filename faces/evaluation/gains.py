"""What a trial of a search, or an ablation, gains on validation faces: paired differences and their intervals."""

import numpy as np
import scipy.special


def paired(first: np.ndarray, second: np.ndarray, people: np.ndarray) -> dict[str, float]:
    """Mean of first less second, values (n,) of the same faces, where both are known, and its standard error.

    people: (n,) name of the person on each face: faces of one person are one observation (a ratio of sums over people,
    Cochran 1977, eq. 2.39). NaN where nothing is known, or of one person alone.
    """
    known = np.isfinite(first) & np.isfinite(second)
    value = (first - second)[known]
    _, person = np.unique(people[known], return_inverse=True)
    n = np.bincount(person)
    if len(n) < 2:
        return {"difference": float("nan"), "standard_error": float("nan")}
    mean = value.mean()
    residuals = np.bincount(person, value) - mean * n
    error = np.sqrt((residuals**2).sum() * len(n) / (len(n) - 1)) / n.sum()
    return {"difference": float(mean), "standard_error": float(error)}


def interval(gain: dict[str, float], confidence: float, comparisons: int = 1) -> dict[str, float]:
    """Difference, low and high of a gain, as `paired` returns it, by the normal distribution.

    Simultaneous over a number of comparisons (Bonferroni), as where the best of them is chosen.
    """
    width = scipy.special.ndtri(1 - (1 - confidence) / (2 * comparisons)) * gain["standard_error"]
    difference = gain["difference"]
    return {"difference": difference, "low": float(difference - width), "high": float(difference + width)}


def of_trials(trials: list[dict], confidence: float) -> list[dict]:
    """For each trial of data/tuned/MODEL.json, its `interval` from the defaults; {} for the defaults themselves."""
    others = sum("standard_error" in trial for trial in trials)
    return [interval(trial, confidence, others) if "standard_error" in trial else {} for trial in trials]
