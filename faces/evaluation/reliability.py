"""How far probabilities can be believed: reliability curves and calibration errors."""

import numpy as np
import pandas as pd

from faces import targets

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


def sureness(table: pd.DataFrame, target: targets.Target) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of rows of predictions.csv: known (n,) bool, probability of the said class (n,), whether it is right (n,)."""
    p = table[[f"{target.name}_p_{name}" for name in target.classes]].to_numpy(float).max(axis=1)
    label = table[target.name].to_numpy(str)
    return label != "", p, label == table[f"{target.name}_predicted"].to_numpy(str)
