"""How far probabilities can be believed: reliability curves and calibration errors."""

import numpy as np
import pandas as pd

from faces import targets
from faces.evaluation import predictions

BINS = 10  # of equal width


def curve(sure: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """Faces by how sure the model was: columns low, high, n, confidence and accuracy (means; NaN where n is 0).

    sure: (n,) probability of the class that was said, 0 to 1; right: (n,) whether it was the true one.
    """
    edges = np.linspace(0, 1, BINS + 1)
    at = np.clip(np.digitize(sure, edges[1:-1]), 0, BINS - 1)
    n = np.bincount(at, minlength=BINS)
    with np.errstate(invalid="ignore"):
        confidence, accuracy = (np.bincount(at, v, minlength=BINS) / n for v in (sure, right.astype(float)))
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": n, "confidence": confidence, "accuracy": accuracy})


def expected_error(rows: pd.DataFrame) -> float:
    """Expected calibration error, 0 to 1: |accuracy - confidence| averaged over faces (Naeini et al. 2015)."""
    n = rows["n"].to_numpy()
    return float(np.nansum(n * (rows["accuracy"] - rows["confidence"]).abs()) / n.sum()) if n.sum() else float("nan")


def by_group(test: pd.DataFrame, min_n: int) -> pd.DataFrame:
    """Rows of reliability.curve for each target of classes, over all faces and each group of min_n or more.

    Columns: target, by, group, then those of reliability.curve, then error, the group's expected calibration error.
    """
    found = []
    groups = predictions.groups(test, crossed=False)
    for name, target in targets.TARGETS.items():
        right = predictions.face_scores(test, target).get("accuracy")
        if right is None:
            continue
        confidence = test[[f"{name}_p_{label}" for label in target.classes]].to_numpy(float).max(axis=1)
        for by, group, inside in groups:
            at = inside & np.isfinite(right)
            if at.sum() < min_n:
                continue
            bins = curve(confidence[at], right[at])
            found.append(bins.assign(target=name, by=by, group=group, error=expected_error(bins)))
    columns = ["target", "by", "group", "low", "high", "n", "confidence", "accuracy", "error"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)
