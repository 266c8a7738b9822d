"""Calibration of class probabilities: reliability curves and expected calibration errors."""

import numpy as np
import pandas as pd

from faces import targets
from faces.evaluation import predictions

BINS = 10  # of equal width


def curve(confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """One row a bin of confidence: low, high (included), n, and means of confidence and accuracy, NaN where n is 0.

    confidence: (n,) probability of the predicted class, 0 to 1, of one face or more; right: (n,) whether it is the true
    one.
    """
    from sklearn.calibration import calibration_curve

    edges = np.linspace(0, 1, BINS + 1)
    n = np.bincount(np.searchsorted(edges[1:-1], confidence), minlength=BINS)  # in the bins of calibration_curve
    accuracy, mean = calibration_curve(right, confidence, pos_label=True, n_bins=BINS)
    means = pd.DataFrame({"confidence": mean, "accuracy": accuracy}, index=np.flatnonzero(n))
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": n}).join(means)


def expected_error(rows: pd.DataFrame) -> float:
    """Expected calibration error, 0 to 1: |accuracy - confidence| averaged over faces (Naeini et al. 2015)."""
    return float((rows["n"] * (rows["accuracy"] - rows["confidence"]).abs()).sum() / rows["n"].sum())


def by_group(test: pd.DataFrame, min_group_size: int) -> pd.DataFrame:
    """Rows of curve for each target of classes, over all faces and each group of min_group_size faces or more.

    test: rows of predictions.csv. Columns: target, by, group, those of curve, error (expected calibration error).
    """
    columns = ["target", "by", "group", "low", "high", "n", "confidence", "accuracy", "error"]
    tables = []
    groups = predictions.groups(test, crossed=False)
    for name, target in targets.TARGETS.items():
        right = predictions.face_scores(test, target).get("accuracy")
        if right is None:
            continue
        confidence = test[[f"{name}_p_{label}" for label in target.classes]].to_numpy(float).max(axis=1)
        for by, group, inside in groups:
            at = inside & np.isfinite(right)
            if at.sum() < min_group_size:
                continue
            bins = curve(confidence[at], right[at])
            tables.append(bins.assign(target=name, by=by, group=group, error=expected_error(bins)))
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
