"""Fit temperatures and conformal age intervals to the calibration part."""

import warnings

import numpy as np

from faces import targets
from faces.evaluation import calibration

PRIOR = 0.5  # of the logarithm of a temperature: a factor of 1.6 either way
GROWTH = 0.1  # of an error that temperature is not to touch


def fit(
    said: dict[str, np.ndarray], labels: dict[str, tuple[np.ndarray, np.ndarray]], confidence: float
) -> dict[str, dict]:
    """What is to be kept of each target, and the number of faces that it rests on.

    said: probabilities {target: (n, units)}; labels: {target: (values (n,), known (n,), above 0 where there is one)}.
    """
    fitted = {}
    for key, (values, known) in labels.items():
        at = known > 0
        one = fit_years if targets.TARGETS[key].kind == "years" else fit_temperature
        fitted[key] = one(said[key][at], values[at], confidence) | {"n": int(at.sum())}
    return fitted


def fit_years(p: np.ndarray, ages: np.ndarray, confidence: float) -> dict:
    """Temperature of distributions p (n, years), given the ages (n,), and the scale of their intervals at it.

    A model is taught labels that are spread over some years, so what it says is wider than its errors are. 1 where the
    mean's error would grow by more than GROWTH: a network that tells one number, a year wide whatever its errors are,
    would be drawn to so high a temperature that its ages are told by the edges of the range.
    """
    fitted = fit_temperature(p, np.round(ages), confidence)
    if mean_error(calibration.temper(p, fitted["temperature"]), ages) > (1 + GROWTH) * mean_error(p, ages):
        fitted = {"temperature": 1.0}
    return fitted | fit_interval(calibration.temper(p, fitted["temperature"]), ages, confidence)


def mean_error(p: np.ndarray, ages: np.ndarray) -> float:
    """Root mean squared error in years of the means of distributions p (n, years); 0 where there is none."""
    return float(np.sqrt(np.mean((p @ np.arange(len(p[0])) - ages) ** 2))) if len(p) else 0.0


def fit_interval(p: np.ndarray, ages: np.ndarray, confidence: float) -> dict:
    """How far to stretch the model's own intervals, p (n, years), so that they hold `confidence` of ages (n,) in years.

    `scale` is None where the faces are too few to tell: then no interval but all ages keeps the promise.
    """
    from crepes import ConformalRegressor

    fitted = {"confidence": confidence, "scale": None}
    if not len(p):
        return fitted
    middle, below, above = calibration.sides(p, confidence)
    error = ages - middle
    regressor = ConformalRegressor().fit(error, sigmas=np.where(error < 0, below, above))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the faces are too few, which the infinite interval says
        high = float(regressor.predict_int(np.zeros(1), sigmas=np.ones(1), confidence=confidence)[0, 1])
    return fitted | {"scale": round(high, 6) if np.isfinite(high) else None}


def fit_temperature(p: np.ndarray, classes: np.ndarray, confidence: float) -> dict:
    """Temperature at which probabilities p (n, units) are likeliest, given the true class, or year, (n,) of each face.

    Its logarithm is drawn towards 0 as by a normal prior of width PRIOR, since a few faces that are all right would
    make a model certain of everything.
    """
    from scipy.optimize import minimize_scalar

    if len(np.unique(classes)) < 2:
        return {"temperature": 1.0}
    truth = classes.astype(int)

    def surprise(log_temperature: float) -> float:
        q = calibration.temper(p, float(np.exp(log_temperature)))
        return float(-np.log(q[np.arange(len(q)), truth]).sum()) + 0.5 * (log_temperature / PRIOR) ** 2

    best = minimize_scalar(surprise, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return {"temperature": round(float(np.exp(best.x)), 6)}
