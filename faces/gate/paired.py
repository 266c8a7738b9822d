"""Paired comparisons of two models' predictions for the same faces: for all faces, and for each group of them.

The loss of a face is its absolute error in years, or 1 for a wrong class and 0 for the right one. A comparison is the
mean difference in loss, candidate minus baseline, over the faces of a slice: above zero is worse. Its interval and
p-value come from the studentised bootstrap over people (Efron and Tibshirani 1993, section 12.5). For classes, two
pseudo-faces are added to each slice, one that only the candidate gets wrong and one that only the baseline does (Bonett
and Price 2012, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data"):
without them, the intervals of small slices are too short.
"""

import math

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.special

from faces import params, targets
from faces.evaluation import bootstrap, predictions
from faces.evaluation.predictions import ALL

REGRESSED, UNCHANGED, IMPROVED, INCONCLUSIVE = "regressed", "unchanged", "improved", "inconclusive"
COLUMNS = ["target", "slice", "n", "baseline", "candidate", "difference", "low", "high", "tolerance", "p", "p_holm",
           "p_mcnemar", "verdict"]  # fmt: skip
MIN_ERROR_RATIO = 0.1  # least standard error of a resample to that of all faces; resamples may miss most differences


def loss(target: targets.Target, table: pd.DataFrame) -> np.ndarray:
    """Loss (n,) of each row of predictions.csv: years, or 0 and 1; NaN where the label is unknown."""
    errors = predictions.face_scores(table, target)
    return errors["mae"] if target.kind == "years" else 1 - errors["accuracy"]


def slices(table: pd.DataFrame, min_group_size: int) -> dict[str, np.ndarray]:
    """Masks (n,) bool by name: all faces, and each age bin, class and intersection of two of min_group_size or more."""
    groups = predictions.groups(table)
    return {name: mask for _, name, mask in groups if name == ALL or mask.sum() >= min_group_size}


def differences(
    loss_difference: np.ndarray, member: np.ndarray, people: np.ndarray, binary: bool, bootstrap_samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean difference (s,), its standard error (s,) and studentised differences (bootstrap_samples, s), one a slice.

    loss_difference: (n,), NaN where unknown; member: (n, s) bool; people: (n,) name of the person on each face.
    binary: whether the loss is 0 or 1, so that pseudo-faces are added. All zeros if no face differs.
    """
    known = np.isfinite(loss_difference)
    if not loss_difference[known].any():
        return (*np.zeros((2, member.shape[1])), np.zeros((bootstrap_samples, member.shape[1])))
    inside = scipy.sparse.csr_matrix((member & known[:, None]).astype(float))
    value = np.where(known, loss_difference, 0.0)
    n, a = (bootstrap.gather(table, people) for table in (inside, inside.multiply(value[:, None])))
    if binary:
        ones = scipy.sparse.csr_matrix(np.ones((2, member.shape[1])))
        n, a = scipy.sparse.vstack([n, ones]), scipy.sparse.vstack([a, ones.multiply([[1.0], [-1.0]])])
    n, a = n.tocsr(), a.tocsr()
    table = scipy.sparse.hstack([n, a, a.multiply(a), a.multiply(n), n.multiply(n)]).tocsr()
    mean, error = _ratio(np.asarray(table.sum(axis=0)))
    sample_mean, sample_error = _ratio(bootstrap.sums(table, bootstrap_samples, seed))
    divisor = np.maximum(sample_error, MIN_ERROR_RATIO * error)
    studentised = np.divide(sample_mean - mean, divisor, out=np.zeros_like(sample_mean), where=divisor > 0)
    return mean[0], error[0], np.nan_to_num(studentised)


def _ratio(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (r, s) and standard errors of ratios of sums over people (Cochran 1977, eq. 2.39)."""
    n, a, aa, an, nn = np.split(sums, 5, axis=1)
    mean = np.divide(a, n, out=np.zeros_like(a), where=n > 0)
    residuals = np.maximum(aa - 2 * mean * an + mean**2 * nn, 0.0)  # sum of squares
    return mean, np.divide(np.sqrt(residuals), n, out=np.zeros_like(a), where=n > 0)


def compare(
    candidate: pd.DataFrame, baseline: pd.DataFrame, tolerances: pd.Series, settings: params.Evaluate
) -> pd.DataFrame:
    """One row for each target and slice, with its verdict.

    candidate, baseline: rows of predictions.csv of the same faces in the same order. tolerances: the tolerated increase
    in loss, by (target, slice). Returns target, slice, n, baseline and candidate (mean losses), difference, low,
    high, tolerance, p (one-sided, that the difference is above the tolerance), p_holm, p_mcnemar (NaN for years) and
    verdict.
    There are as many bootstrap samples as Holm's adjustment needs to find one regression among all rows, if
    `bootstrap_samples` are fewer.
    """
    masks, alpha = slices(baseline, settings.min_group_size), 1 - settings.confidence
    member, people = np.column_stack(list(masks.values())), baseline["group"].to_numpy()
    samples = max(settings.bootstrap_samples, math.ceil(2 * len(tolerances) / alpha))
    rows = []
    for target in predictions.scored_targets(baseline, candidate):
        old, new = loss(target, baseline), loss(target, candidate)
        binary = target.kind == "classes"
        mean, error, studentised = differences(new - old, member, people, binary, samples, settings.seed)
        for i, (label, mask) in enumerate(masks.items()):
            inside = mask & np.isfinite(new - old)
            if inside.sum() < settings.min_group_size:
                continue
            before, after, tolerance = old[inside], new[inside], tolerances[target.name, label]
            rows.append(
                {"target": target.name, "slice": label, "n": len(before),
                 "baseline": before.mean(), "candidate": after.mean(), "tolerance": tolerance,
                 **comparison(after - before, mean[i], error[i], studentised[:, i], tolerance, settings.confidence),
                 "p_mcnemar": mcnemar(after, before) if binary else np.nan})  # fmt: skip
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["p_holm"] = adjusted(table["p"].to_numpy(float), table["slice"].to_numpy() == ALL)
    table["verdict"] = [verdict(row, alpha) for row in table.to_dict("records")]
    return table


def adjusted(p: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Adjusted p-values (n,): half of the error rate is for the comparisons of all faces, half for those of groups.

    Each half is adjusted by Holm's method, and doubled (Bonferroni). whole: (n,) whether one is of all faces. In one
    family, a loss over all faces would need the evidence that the worst of more than a hundred groups needs.
    """
    out = np.empty(len(p))
    for family in (whole, ~whole):
        out[family] = np.minimum(2 * bootstrap.holm(p[family]), 1.0)
    return out


def comparison(
    loss_difference: np.ndarray, mean: float, error: float, studentised: np.ndarray, tolerance: float, confidence: float
) -> dict[str, float]:
    """Difference, interval and p of one slice; the interval has width 0 if no face differs."""
    if not loss_difference.any():
        return {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
    below, above = np.quantile(studentised, [(1 - confidence) / 2, (1 + confidence) / 2])
    p = bootstrap.p_value(studentised, (mean - tolerance) / error) if error > 0 else float(mean <= tolerance)
    return {"difference": loss_difference.mean(), "low": mean - above * error, "high": mean - below * error, "p": p}


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """Two-sided exact p of the hypothesis that two losses (n,) of 0 and 1 have equal means (McNemar 1947)."""
    differ, worse = int((one != other).sum()), int((one > other).sum())
    return min(1.0, 2 * float(scipy.special.bdtr(min(worse, differ - worse), differ, 0.5)))


def verdict(row: dict, alpha: float) -> str:
    """Verdict on a row of compare: the first that applies, in this order."""
    if row["p_holm"] < alpha:
        return REGRESSED
    if -row["tolerance"] <= row["low"] and row["high"] <= row["tolerance"]:
        return UNCHANGED
    return IMPROVED if row["high"] < 0 else INCONCLUSIVE
