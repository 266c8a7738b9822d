"""Calibration of class probabilities: reliability curves and expected calibration errors."""

import numpy as np
import pandas as pd

from faces import targets
from faces.evaluation import predictions

BINS = 10  # of equal width


def curve(confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """One row a bin of confidence: low, high, n, and means of confidence and accuracy, NaN where n is 0.

    confidence: (n,) probability of the predicted class, 0 to 1; right: (n,) whether it is the true one.
    """
    edges = np.linspace(0, 1, BINS + 1)
    at = np.clip(np.digitize(confidence, edges[1:-1]), 0, BINS - 1)
    n = np.bincount(at, minlength=BINS)
    with np.errstate(invalid="ignore"):
        means, accuracy = (np.bincount(at, v, minlength=BINS) / n for v in (confidence, right.astype(float)))
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": n, "confidence": means, "accuracy": accuracy})


def expected_error(rows: pd.DataFrame) -> float:
    """Expected calibration error, 0 to 1: |accuracy - confidence| averaged over faces (Naeini et al. 2015)."""
    n = rows["n"].to_numpy()
    return float(np.nansum(n * (rows["accuracy"] - rows["confidence"]).abs()) / n.sum()) if n.sum() else float("nan")


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
