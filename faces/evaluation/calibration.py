"""Calibration of a finished model: temperatures of its probabilities and the scale of its age intervals, applied.

`stages/calibrate.py` fits these numbers on the calibration part. This module needs NumPy alone.
"""

import numpy as np

from faces import targets


def temper(p: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (n, classes) at a temperature above 0: softmax(log p / temperature) (Guo et al. 2017).

    Above 1 they are less confident, below 1 more. The order of classes stays.
    """
    logits = np.log(np.maximum(np.asarray(p, np.float64), 1e-12)) / temperature
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sides(p: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median, and how far below and above it the middle `confidence` of distributions p (n, years) reaches, in years.

    Each side is at least half a year, since a year stands for ages from half a year below to half a year above.
    """
    middle = targets.median_age(p)
    low, high = (targets.quantile_age(p, q) for q in ((1 - confidence) / 2, (1 + confidence) / 2))
    return middle, np.maximum(middle - low, 0.5), np.maximum(high - middle, 0.5)


def age_interval(p: np.ndarray, fitted: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest age (n,) in years: an interval that contains the true age with the stated confidence.

    p: (n, years); fitted: `confidence`, and `scale`, by which both sides of the model's own interval are multiplied to
    reach it: conformalised quantile regression with relative scores (Romano et al. 2019; Kivaranovic et al. 2020,
    "Adaptive, distribution-free prediction intervals for deep networks"). All ages where scale is None.
    """
    if fitted["scale"] is None:
        return np.zeros(len(p)), np.full(len(p), p.shape[1] - 1.0)
    middle, below, above = sides(p, fitted["confidence"])
    low, high = middle - fitted["scale"] * below, middle + fitted["scale"] * above
    return np.clip(low, 0, p.shape[1] - 1), np.clip(high, 0, p.shape[1] - 1)


def apply(probabilities: dict[str, np.ndarray], fitted: dict[str, dict]) -> dict[str, np.ndarray]:
    """Calibrated probabilities {target: (n, units)}; a target without a fitted temperature keeps its own."""
    return {
        name: temper(p, fitted[name]["temperature"]) if "temperature" in fitted.get(name, {}) else p
        for name, p in probabilities.items()
    }
