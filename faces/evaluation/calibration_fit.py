"""Fit temperatures and conformal age intervals to the calibration part."""

import math
from fractions import Fraction

import numpy as np

from faces import targets
from faces.evaluation import calibration

PRIOR = 0.5  # standard deviation of the logarithm of a temperature: a factor of 1.6 either way
GROWTH = 0.1  # largest growth of the error of mean ages by a temperature, as a share


def fit(
    probabilities: dict[str, np.ndarray], labels: dict[str, tuple[np.ndarray, np.ndarray]], confidence: float
) -> dict[str, dict]:
    """Calibration {target: {temperature, confidence, scale, n}}; n: faces that it was fitted to.

    probabilities: {target: (n, units)}; labels: {target: (values (n,), known (n,), above 0 where there is a label)}.
    """
    fitted = {}
    for name, (values, known) in labels.items():
        at = known > 0
        fit_one = fit_years if targets.TARGETS[name].kind == "years" else fit_temperature
        fitted[name] = fit_one(probabilities[name][at], values[at], confidence) | {"n": int(at.sum())}
    return fitted


def fit_years(p: np.ndarray, ages: np.ndarray, confidence: float) -> dict:
    """Temperature of distributions p (n, years), given the ages (n,), and the scale of their intervals at it.

    A model is trained on labels that are spread over some years, so its distributions are wider than its errors. The
    temperature is 1 where the error of means would grow by more than GROWTH: a network that predicts one number, a
    year wide whatever its errors, would get so high a temperature that the edges of the range decide its ages.
    """
    fitted = fit_temperature(p, np.round(ages), confidence)
    if mean_error(calibration.temper(p, fitted["temperature"]), ages) > (1 + GROWTH) * mean_error(p, ages):
        fitted = {"temperature": 1.0}
    return fitted | fit_interval(calibration.temper(p, fitted["temperature"]), ages, confidence)


def mean_error(p: np.ndarray, ages: np.ndarray) -> float:
    """Root mean squared error in years of the means of distributions p (n, years); 0 where n is 0."""
    return float(np.sqrt(np.mean((p @ np.arange(len(p[0])) - ages) ** 2))) if len(p) else 0.0


def fit_interval(p: np.ndarray, ages: np.ndarray, confidence: float) -> dict:
    """Scale at which the model's own intervals, of p (n, years), contain `confidence` of ages (n,) in years.

    The score of a face is its error in units of that side of its interval, and the scale the k-th smallest of n scores,
    k = ceil((n + 1) * confidence) (Vovk et al. 2005, "Algorithmic Learning in a Random World"; Lei et al. 2018,
    "Distribution-Free Predictive Inference for Regression", section 2.2). None where k is above n: then only the
    interval of all ages has that confidence.
    """
    rank = math.ceil((len(p) + 1) * Fraction(str(confidence)))  # a product of floats may be just above a whole number
    if rank > len(p):
        return {"confidence": confidence, "scale": None}
    middle, below, above = calibration.sides(p, confidence)
    error = ages - middle
    scores = np.sort(np.abs(error) / np.where(error < 0, below, above))
    return {"confidence": confidence, "scale": round(float(scores[rank - 1]), 6)}


def fit_temperature(p: np.ndarray, classes: np.ndarray, confidence: float) -> dict:
    """Temperature at which probabilities p (n, units) are likeliest, given the true class, or year, (n,) of each face.

    Its logarithm has a normal prior of mean 0 and standard deviation PRIOR, since otherwise a few faces that are all
    predicted right would make a model certain of everything.
    """
    from scipy.optimize import minimize_scalar

    if len(np.unique(classes)) < 2:
        return {"temperature": 1.0}
    truth = classes.astype(int)

    def negative_log_posterior(log_temperature: float) -> float:
        q = calibration.temper(p, float(np.exp(log_temperature)))
        return float(-np.log(q[np.arange(len(q)), truth]).sum()) + 0.5 * (log_temperature / PRIOR) ** 2

    best = minimize_scalar(negative_log_posterior, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return {"temperature": round(float(np.exp(best.x)), 6)}
