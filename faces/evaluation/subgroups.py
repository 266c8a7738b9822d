"""Scores of groups of faces, the largest gap between groups, and the same gap at equal ages, all by bootstrap.

Groups are age bins, sexes, ethnicities and crossings of two. Faces are summed in cells (decade x sex x ethnicity), and
every group is a sum of cells, so that one set of resamples serves them all.
"""

import numpy as np
import pandas as pd
import scipy.sparse

from faces import scores, targets
from faces.evaluation import bootstrap, metrics, predictions

DECADE = 10  # years, within which faces count as of equal age
LEAST = 5  # faces of a decade that a group must have for that decade to be compared


def measures(table: pd.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """What is averaged over a group, {(target, score): (n,)}, from rows of predictions.csv; NaN where unlabelled."""
    found = {}
    for name, target in targets.TARGETS.items():
        values = predictions.face_scores(table, target)
        listed = [score.name for score in scores.listed("subgroups", target.kind)]
        found |= {(name, score): values[score] for score in listed if score in values}
    return found


def cells_of(table: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Cell (n,) of each row of predictions.csv; and the labels of one face of each cell, with its `decade`, -1 unknown.

    Faces of one cell have their decade and all their groups in common.
    """
    labels = table[[name for name in targets.TARGETS if name in table]]
    keys = {}
    for name in labels:
        if targets.TARGETS[name].kind == "years":
            age = labels[name].to_numpy(float)
            keys["decade"] = np.where(np.isnan(age), -1, np.nan_to_num(age) // DECADE).astype(int)
        keys[name] = targets.group_index(targets.TARGETS[name], labels[name].to_numpy())
    cell = pd.DataFrame(keys).groupby(list(keys), sort=True).ngroup().to_numpy()
    first = labels.assign(decade=keys.get("decade", -1), cell=cell).drop_duplicates("cell")
    return cell, first.sort_values("cell").drop(columns="cell")


class Sums:
    """Sums over cells of what measures gives: observed, and in each resample of people."""

    def __init__(self, table: pd.DataFrame, resamples: int, seed: int) -> None:
        """table: rows of predictions.csv, with `group`, the person of each face."""
        cell, self.cells = cells_of(table)
        self.measures = measures(table)
        count = len(self.cells)
        blocks = []
        for value in self.measures.values():
            (known,) = np.nonzero(np.isfinite(value))
            for column in (np.ones(len(known)), value[known]):
                blocks.append(scipy.sparse.csr_matrix((column, (known, cell[known])), shape=(len(table), count)))
        summed = bootstrap.gather(scipy.sparse.hstack(blocks), table["group"].to_numpy())
        self.drawn = bootstrap.sums(summed, resamples, seed).reshape(resamples, len(self.measures), 2, count)
        self.observed = np.asarray(summed.sum(axis=0)).reshape(1, len(self.measures), 2, count)

    def of(self, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of cells (cells, g): faces (measures, g), values (measures, g), and drawn values (resamples, measures, g)."""
        observed, drawn = self.observed @ inside, self.drawn @ inside
        with np.errstate(invalid="ignore", divide="ignore"):
            return observed[0, :, 0], observed[0, :, 1] / observed[0, :, 0], drawn[:, :, 1] / drawn[:, :, 0]


def group_scores(sums: Sums, min_n: int, confidence: float) -> pd.DataFrame:
    """One row for each measure and group: target, score, by, group, n, value, low, high; no value below min_n faces.

    A class's accuracy in a group of that class alone is its recall, and is called so.
    """
    groups = predictions.groups(sums.cells)
    n, value, drawn = sums.of(np.column_stack([inside for *_, inside in groups]).astype(float))
    tail = (1 - confidence) / 2
    rows = []
    for i, (target, score) in enumerate(sums.measures):
        for j, (by, group, _) in enumerate(groups):
            if n[i, j] == 0 and by:
                continue
            shown = "recall" if score == "accuracy" and target in by.split(" x ") else score
            row = {"target": target, "score": shown, "by": by, "group": group, "n": int(n[i, j])}
            if n[i, j] >= min_n:
                low, high = np.nanquantile(drawn[:, i, j], [tail, 1 - tail])
                if low == high and score in metrics.SHARES:
                    low, high = bootstrap.exact(value[i, j], int(n[i, j]), confidence)
                row |= {"value": value[i, j], "low": low, "high": high}
            rows.append(row)
    return pd.DataFrame(rows, columns=["target", "score", "by", "group", "n", "value", "low", "high"])


def gaps(sums: Sums, min_n: int, confidence: float) -> pd.DataFrame:
    """The largest gap of each score between the groups of each axis, as they are and at equal ages.

    Columns: target, score, by, ages (as they are, equal), worst, best (groups), n_worst, n_best, gap, low, high. Of a
    bias, the two groups are those of the lowest and the highest, and the worse is the one that is further from 0. The
    two groups are picked by the same faces, so the interval holds the gaps of all pairs of groups at once (by the
    largest studentised deviation of any pair: Hochberg and Tamhane 1987, section 2.1). At equal ages, each group's
    score is averaged over the decades where every group compared has LEAST faces, each weighing what it does among all
    faces (direct standardisation). Where all groups score the same, the first two are named, with a gap of 0.
    """
    decades, groups = sums.cells["decade"].to_numpy(), predictions.groups(sums.cells, crossed=False)[1:]
    rows = []
    for i, (target, score) in enumerate(sums.measures):
        if f"{target}_{score}" not in scores.keys("gaps"):
            continue
        for by in dict.fromkeys(axis for axis, *_ in groups):
            inside = np.column_stack([inside for axis, _, inside in groups if axis == by]).astype(float)
            n, value, drawn = sums.of(inside)
            large = n[i] >= min_n
            if large.sum() < 2:
                continue
            names = np.array([name for axis, name, _ in groups if axis == by])[large]
            common = {"target": target, "score": score, "by": by}
            rows.append(common | {"ages": "as they are"} | _gap(
                names, n[i, large], value[i, large], drawn[:, i][:, large], score, confidence))  # fmt: skip
            if targets.TARGETS[by].kind != "years":
                equal = _standardised(sums, i, inside[:, large], decades)
                if equal is not None:
                    rows.append(common | {"ages": "equal"} | _gap(names, *equal, score, confidence))
    columns = ["target", "score", "by", "ages", "worst", "best", "n_worst", "n_best", "gap", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _gap(names, n, value, drawn, score, confidence) -> dict:  # noqa: ANN001 - as gaps describes them
    lowest, highest = int(np.argmin(value)), int(np.argmax(value))
    if lowest == highest:  # all score the same, so the first two stand for any
        lowest, highest = 0, 1
    up = metrics.higher_is_better(score)
    up = abs(value[highest]) < abs(value[lowest]) if up is None else up
    best, worst = (highest, lowest) if up else (lowest, highest)
    one, other = np.triu_indices(len(names), 1)
    apart = drawn[:, one] - drawn[:, other]
    error = np.nanstd(apart, axis=0)
    off = np.abs(apart - (value[one] - value[other])) / np.where(error > 0, error, np.inf)
    pair = (one == min(worst, best)) & (other == max(worst, best))
    off = off[np.isfinite(off).any(axis=1)]  # a resample may hold one group alone
    half = np.quantile(np.nanmax(off, axis=1), confidence) * error[pair].item()
    gap = value[worst] - value[best]
    return {
        "worst": names[worst], "best": names[best], "n_worst": int(n[worst]), "n_best": int(n[best]),
        "gap": gap, "low": gap - half, "high": gap + half,
    }  # fmt: skip


def _standardised(sums: Sums, i: int, inside: np.ndarray, decades: np.ndarray) -> tuple | None:
    """Faces (g,), values (g,) and drawn values (resamples, g) of a measure over groups at equal ages.

    None where no decade is shared.
    """
    kept = [d for d in np.unique(decades[decades >= 0]) if (sums.observed[0, i, 0] @ (inside * (decades == d)[:, None])
            >= LEAST).all()]  # fmt: skip
    if not kept:
        return None
    weight = np.array([sums.observed[0, i, 0, decades == d].sum() for d in kept])
    weight = weight / weight.sum()
    n, value, drawn = 0.0, 0.0, 0.0
    for share, decade in zip(weight, kept, strict=True):
        count, one, many = sums.of(inside * (decades == decade)[:, None])
        n, value, drawn = n + count[i], value + share * one[i], drawn + share * many[:, i]
    return n, value, drawn


def summary(by_group: pd.DataFrame, sure: pd.DataFrame, confidence: float) -> dict:
    """What a reader looks at first of groups.csv and reliability.csv.

    Overall coverage, width and calibration error, and each target's worst group.
    """
    overall = by_group[by_group["by"] == ""].set_index(["target", "score"])["value"]
    found: dict = {"interval_confidence": confidence}
    for (target, score), value in overall.items():
        if score in ("coverage", "width") and value == value:
            found[f"{target}_{score}"] = float(value)
    for target, rows in sure[sure["by"] == ""].groupby("target", sort=False):
        found[f"{target}_calibration_error"] = float(rows["error"].iloc[0])
    found["worst"] = {}
    shown = by_group[(by_group["by"] != "") & by_group["value"].notna()]
    for target, rows in scores.select(shown, "worst").groupby("target", sort=False):
        up = metrics.higher_is_better(rows["score"].iloc[0])
        row = rows.loc[rows["value"].idxmin() if up else rows["value"].idxmax()]
        found["worst"][target] = {
            "score": row["score"], "group": row["group"], "n": int(row["n"]),
            **{key: float(row[key]) for key in ("value", "low", "high")},
        }  # fmt: skip
    return found
