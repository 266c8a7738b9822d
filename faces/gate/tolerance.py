"""Tolerances of the gate, from how much scores differ between trainings that differ only in their seed."""

import numpy as np
import pandas as pd
import scipy.optimize

from faces import params, targets
from faces.evaluation import predictions
from faces.gate.paired import loss, slices


def sd_over_seeds(seeds: list[pd.DataFrame], min_group_size: int) -> pd.DataFrame:
    """Standard deviation over seeds of the mean loss of each slice: target, slice, n, seeds, sd.

    seeds: rows of predictions.csv of the same faces, one table for each training.
    """
    rows = slice_sizes(seeds[0], min_group_size)
    masks = slices(seeds[0], min_group_size)
    losses = {name: [loss(targets.TARGETS[name], table) for table in seeds] for name in rows["target"].unique()}
    sd = [
        np.std([np.nanmean(values[masks[label]]) for values in losses[name]], ddof=1)
        for name, label in zip(rows["target"], rows["slice"], strict=True)
    ]
    return rows.assign(seeds=len(seeds), sd=sd)


def tolerances(seed_sd: pd.DataFrame, sizes: pd.DataFrame, gate: params.Gate) -> pd.Series:
    """Tolerated increase in loss, by (target, slice): `gate.tolerance_sd` standard deviations of a change of seed.

    seed_sd: rows of spread.csv of one model; sizes: target, slice, n. The difference of two trainings has a standard
    deviation of the square root of 2 times that of one. Few seeds give a poor estimate for one slice, so its variance
    is at least a + b / n, fitted to all slices of its target. gate.tolerance_years or
    gate.tolerance_accuracy where nothing was measured.
    """
    tables = []
    for name, wanted in sizes.groupby("target", sort=False):
        rows = seed_sd[seed_sd["target"] == name]
        tolerated = gate.tolerance_years if targets.TARGETS[str(name)].kind == "years" else gate.tolerance_accuracy
        if len(rows):
            n, variance = rows["n"].to_numpy(float), rows["sd"].to_numpy(float) ** 2
            (a, b), _ = scipy.optimize.nnls(np.column_stack([n, np.ones(len(n))]), n * variance)
            measured = wanted["slice"].map(dict(zip(rows["slice"], variance, strict=True))).fillna(0.0)
            tolerated = gate.tolerance_sd * np.sqrt(2 * np.maximum(measured, a + b / wanted["n"]))
        tables.append(wanted.assign(tolerance=tolerated))
    return pd.concat(tables).set_index(["target", "slice"])["tolerance"].astype(float)


def slice_sizes(table: pd.DataFrame, min_group_size: int) -> pd.DataFrame:
    """Number of known labels (target, slice, n) where it is min_group_size or more; table: rows of predictions.csv."""
    counts = []
    for target in predictions.scored_targets(table):
        known = np.isfinite(loss(target, table))
        for label, mask in slices(table, min_group_size).items():
            counts.append({"target": target.name, "slice": label, "n": int((mask & known).sum())})
    rows = pd.DataFrame(counts, columns=["target", "slice", "n"])
    return rows[rows["n"] >= min_group_size].reset_index(drop=True)
