"""How much a score differs between trainings that differ in their seed alone, and what a gate forgives by it."""

import numpy as np
import pandas as pd
import scipy.optimize

from faces import params, targets
from faces.gate.paired import loss, slices


def over_seeds(seeds: list[pd.DataFrame], min_n: int) -> pd.DataFrame:
    """Standard deviation over seeds of the mean loss of each slice: target, slice, n, seeds, sd.

    seeds: rows of predictions.csv of the same faces, one table a training.
    """
    rows = sizes(seeds[0], min_n)
    found = slices(seeds[0], min_n)
    losses = {name: [loss(targets.TARGETS[name], table) for table in seeds] for name in rows["target"].unique()}
    sd = [
        np.std([np.nanmean(each[found[label]]) for each in losses[name]], ddof=1)
        for name, label in zip(rows["target"], rows["slice"], strict=True)
    ]
    return rows.assign(seeds=len(seeds), sd=sd)


def margins(spread: pd.DataFrame, sizes: pd.DataFrame, settings: params.Gate) -> pd.Series:
    """Loss that is forgiven, by (target, slice): `settings.spreads` standard deviations of what another seed changes.

    spread: rows of spread.csv of one model; sizes: target, slice, n. The difference of two trainings varies by the
    square root of 2 times the spread of one. Since few seeds tell little of one slice, its variance is taken to be at
    least what a + b / n, fitted to all slices of its target, gives. settings.years and settings.share where nothing
    was measured.
    """
    found = {}
    for name, wanted in sizes.groupby("target", sort=False):
        target = targets.TARGETS[str(name)]
        rows = spread[spread["target"] == name]
        if not len(rows):
            forgiven = settings.years if target.kind == "years" else settings.share
            found.update({(name, label): forgiven for label in wanted["slice"]})
            continue
        n, variance = rows["n"].to_numpy(float), rows["sd"].to_numpy(float) ** 2
        (a, b), _ = scipy.optimize.nnls(np.column_stack([n, np.ones(len(n))]), n * variance)
        own = dict(zip(rows["slice"], variance, strict=True))
        for label, size in zip(wanted["slice"], wanted["n"], strict=True):
            found[name, label] = settings.spreads * np.sqrt(2 * max(own.get(label, 0.0), a + b / size))
    return pd.Series(found, dtype=float)


def sizes(table: pd.DataFrame, min_n: int) -> pd.DataFrame:
    """Known labels in each slice of min_n or more: target, slice, n; rows of predictions.csv."""
    found = []
    for name in (name for name in targets.TARGETS if f"{name}_predicted" in table and name in table):
        known = np.isfinite(loss(targets.TARGETS[name], table))
        for label, inside in slices(table, min_n).items():
            found.append({"target": name, "slice": label, "n": int((inside & known).sum())})
    rows = pd.DataFrame(found, columns=["target", "slice", "n"])
    return rows[rows["n"] >= min_n].reset_index(drop=True)
