"""What a finished model is told about its own errors: temperatures of its probabilities, the scale of age intervals.

`stages/calibrate.py` fits these numbers on the calibration part; here they are applied, with NumPy alone.
"""

import numpy as np

from faces import targets


def temper(p: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (n, classes) at a temperature above 0: softmax(log p / temperature) (Guo et al. 2017).

    Above 1 they are less sure, below 1 more; which class is first stays.
    """
    logits = np.log(np.maximum(np.asarray(p, np.float64), 1e-12)) / temperature
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sides(p: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median, and how far below and above it the middle `confidence` of distributions p (n, years) reaches, in years.

    Each side is at least half a year: a distribution that is all on one year is of a face that is that old.
    """
    middle = targets.median_age(p)
    low, high = (targets.quantile_age(p, q) for q in ((1 - confidence) / 2, (1 + confidence) / 2))
    return middle, np.maximum(middle - low, 0.5), np.maximum(high - middle, 0.5)


def age_interval(p: np.ndarray, fitted: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Ages (n,) in years, lowest and highest, that hold the true one with the stated confidence.

    p: (n, years); fitted: `confidence`, and `scale`, by which both sides of the model's own interval are stretched so
    that it is kept: conformalised quantile regression with relative scores (Romano et al. 2019; Kivaranovic et al.
    2020, "Adaptive, distribution-free prediction intervals for deep networks"). All ages where scale is None.
    """
    if fitted["scale"] is None:
        return np.zeros(len(p)), np.full(len(p), p.shape[1] - 1.0)
    middle, below, above = sides(p, fitted["confidence"])
    low, high = middle - fitted["scale"] * below, middle + fitted["scale"] * above
    return np.clip(low, 0, p.shape[1] - 1), np.clip(high, 0, p.shape[1] - 1)


def apply(probabilities: dict[str, np.ndarray], fitted: dict[str, dict]) -> dict[str, np.ndarray]:
    """Calibrated probabilities {target: (n, units)}; those of a target that nothing was fitted to stay as they are."""
    return {
        name: temper(p, fitted[name]["temperature"]) if "temperature" in fitted.get(name, {}) else p
        for name, p in probabilities.items()
    }
