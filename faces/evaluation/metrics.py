"""Scores of predictions, and their bootstrap intervals, for all kinds of target.

Every score is a function of sums over faces: a kind's `statistics` give an (n, k) table, one row a face, and its
`scores` turn sums of rows into named scores. A weighted or resampled score is then one matrix product.
"""

import numpy as np

from faces import targets
from faces.evaluation import selection
from faces.targets import AGE_BINS, Target

HIGHER_IS_BETTER = dict.fromkeys(selection.ERRORS, False) | {
    "rmse": False,
    "bias": None,
    "mae_bin_average": False,
    "width": False,
    "beyond": False,
}
SHARES = ("accuracy", "recall", "within_5", "bin_accuracy", "coverage")  # shares of faces, which are binomial
HEADLINE = {"years": "mae", "classes": "accuracy"}


def headline(name: str) -> str:
    """Key of the main score of a target, e.g. age_mae."""
    return f"{name}_{HEADLINE[targets.TARGETS[name].kind]}"


def higher_is_better(metric: str) -> bool | None:
    """True, False, or None where neither is (the signed error)."""
    return HIGHER_IS_BETTER.get(metric, True)


def face_scores(
    target: Target,
    true: np.ndarray,
    predicted: np.ndarray,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
    bins: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Errors of single faces, {score: (n,)}, named by the score that their mean over faces is.

    true, predicted: (n,) years, or classes; low, high: (n,) ends of the age intervals in years; bins: first and last
    year (n,) of the bins of ages that are labels, whose middle `true` is.
    years: mae (absolute error), bias (signed error), both in years, within_5 (0 or 1) and, with intervals, coverage
    (0 or 1; of a bin, whether the interval meets it) and width in years; with bins, beyond (years outside the bin).
    classes: accuracy (0 or 1).
    """
    if target.kind == "classes":
        return {"accuracy": true == predicted}
    error = predicted - true
    errors = {"mae": np.abs(error), "bias": error, "within_5": np.abs(error) <= 5}
    first, last = bins or (true, true)
    if low is not None and high is not None:
        errors |= {"coverage": (low <= last) & (first <= high), "width": high - low}
    if bins:
        errors["beyond"] = np.maximum(np.maximum(first - predicted, predicted - last), 0.0)
    return errors


def statistics(target: Target, values: np.ndarray, known: np.ndarray, decoded: dict[str, np.ndarray]) -> np.ndarray:
    """Additive statistics (n, k) of each face; zero where its label is unknown.

    values, known: (n,) as targets.encode returns them; decoded: columns as targets.decode returns them.
    """
    predicted = decoded[f"{target.name}_predicted"]
    if target.kind == "classes":
        cell = values.astype(int) * target.units + predicted.astype(int)
        table = np.zeros((len(values), target.units**2))
        table[np.arange(len(values)), cell] = 1.0
        return table * known[:, None]
    faces = face_scores(target, values, predicted)
    squared = (decoded[f"{target.name}_mean"] - values) ** 2
    bins = targets.age_bin(values)
    in_bin = bins[:, None] == np.arange(len(AGE_BINS))
    hit = bins == decoded[f"{target.name}_bin"]
    columns = [np.ones(len(values)), faces["mae"], faces["bias"], squared, faces["within_5"], hit]
    table = np.column_stack([*columns, in_bin, in_bin * faces["mae"][:, None]])
    return table * known[:, None]


def scores(target: Target, sums: np.ndarray) -> dict[str, np.ndarray]:
    """Named scores (...) from sums (..., k) of statistics; NaN where nothing was summed.

    years: n, mae (of the median), rmse (of the mean), bias (signed error), within_5, bin_accuracy, mae_bin_average
    (MAE averaged over the age bins that occur) and mae_BIN. classes: see class_scores.
    """
    sums = np.asarray(sums, np.float64)
    if target.kind == "classes":
        return class_scores(target, sums.reshape(*sums.shape[:-1], target.units, target.units))
    b = len(AGE_BINS)
    with np.errstate(invalid="ignore", divide="ignore"):
        n = sums[..., 0]
        per_bin = sums[..., 6 + b :] / sums[..., 6 : 6 + b]
        named = {
            "n": n,
            "mae": sums[..., 1] / n,
            "rmse": np.sqrt(sums[..., 3] / n),
            "bias": sums[..., 2] / n,
            "within_5": sums[..., 4] / n,
            "bin_accuracy": sums[..., 5] / n,
            "mae_bin_average": _mean_of_known(per_bin),
        }
    return named | {f"mae_{name}": per_bin[..., i] for i, name in enumerate(AGE_BINS)}


def class_scores(target: Target, confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Scores (...) of confusion matrices (..., true, predicted).

    n, accuracy, balanced_accuracy (mean recall of the classes that occur), mcc (Gorodkin 2004, eq. 8, as
    sklearn.metrics.matthews_corrcoef), macro_f1 (over classes that occur or are predicted) and recall_CLASS.
    """
    n = confusion.sum(axis=(-2, -1))
    right = np.trace(confusion, axis1=-2, axis2=-1)
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / true
        f1 = 2 * hits / (true + predicted)
        covariance = right * n - (true * predicted).sum(axis=-1)
        scale = np.sqrt((n**2 - (predicted**2).sum(axis=-1)) * (n**2 - (true**2).sum(axis=-1)))
        named = {
            "n": n,
            "accuracy": right / n,
            "balanced_accuracy": _mean_of_known(recall),
            "mcc": np.where(n > 0, np.where(scale > 0, covariance / scale, 0.0), np.nan),
            "macro_f1": _mean_of_known(f1),
        }
    return named | {f"recall_{name}": recall[..., i] for i, name in enumerate(target.classes)}


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis=-1) / known.sum(axis=-1)


def intervals(
    target: Target, sums: np.ndarray, confidence: float, subtracted: np.ndarray | None = None
) -> dict[str, tuple]:
    """Percentile bootstrap intervals {score: (low, high)} from sums (samples, k) of resampled statistics.

    subtracted: such sums of another model over the same resamples; then intervals are of the difference in a score.
    """
    tail = 100 * (1 - confidence) / 2
    other = {} if subtracted is None else scores(target, subtracted)
    limits = {}
    for name, values in scores(target, sums).items():
        values = values - other.get(name, 0.0)
        values = values[np.isfinite(values)]
        if name != "n" and len(values):
            limits[name] = tuple(np.percentile(values, [tail, 100 - tail]))
    return limits
