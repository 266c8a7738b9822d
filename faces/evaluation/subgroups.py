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
MIN_FACES = 5  # of a decade in each group, for the groups to be compared in that decade


def cells_of(rows: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Cell (n,) of each row of predictions.csv; and the labels of one face of each cell, with its `decade`, -1 unknown.

    Faces of one cell have their decade and all their groups in common.
    """
    labels = rows[[name for name in targets.TARGETS if name in rows]]
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
    """Sums over cells of the scores of single faces: observed, and in each resample of people."""

    def __init__(self, rows: pd.DataFrame, samples: int, seed: int) -> None:
        """rows: of predictions.csv, with `group`, the person of each face; samples: how many resamples."""
        cell, self.cells = cells_of(rows)
        faces = {
            (name, score.name): values[score.name]
            for name, target in targets.TARGETS.items()
            for values in [predictions.face_scores(rows, target)]
            for score in scores.listed("subgroups", target.kind)
            if score.name in values
        }
        self.scores, count = list(faces), len(self.cells)
        blocks = []
        for value in faces.values():
            (known,) = np.nonzero(np.isfinite(value))
            for column in (np.ones(len(known)), value[known]):
                blocks.append(scipy.sparse.csr_matrix((column, (known, cell[known])), shape=(len(rows), count)))
        summed = bootstrap.gather(scipy.sparse.hstack(blocks), rows["group"].to_numpy())
        self.resampled = bootstrap.sums(summed, samples, seed).reshape(samples, len(self.scores), 2, count)
        self.observed = np.asarray(summed.sum(axis=0)).reshape(1, len(self.scores), 2, count)

    def means(self, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Faces (scores, g), means (scores, g), resampled means (samples, scores, g) of groups of cells (cells, g)."""
        observed, resampled = self.observed @ inside, self.resampled @ inside
        with np.errstate(invalid="ignore", divide="ignore"):
            return observed[0, :, 0], observed[0, :, 1] / observed[0, :, 0], resampled[:, :, 1] / resampled[:, :, 0]


def group_scores(sums: Sums, min_group_size: int, confidence: float) -> pd.DataFrame:
    """One row for each score and group: target, score, by, group, n, value, low, high; no value below min_group_size.

    The accuracy of a target in a group of one of its own classes is named recall.
    """
    groups = predictions.groups(sums.cells)
    n, value, resampled = sums.means(np.column_stack([inside for *_, inside in groups]).astype(float))
    tail = (1 - confidence) / 2
    rows = []
    for i, (target, score) in enumerate(sums.scores):
        for j, (by, group, _) in enumerate(groups):
            if n[i, j] == 0 and by:
                continue
            name = "recall" if score == "accuracy" and target in by.split(" x ") else score
            row = {"target": target, "score": name, "by": by, "group": group, "n": int(n[i, j])}
            if n[i, j] >= min_group_size:
                low, high = np.nanquantile(resampled[:, i, j], [tail, 1 - tail])
                if low == high and score in metrics.SHARES:
                    low, high = bootstrap.exact(value[i, j], int(n[i, j]), confidence)
                row |= {"value": value[i, j], "low": low, "high": high}
            rows.append(row)
    return pd.DataFrame(rows, columns=["target", "score", "by", "group", "n", "value", "low", "high"])


def gaps(sums: Sums, min_group_size: int, confidence: float) -> pd.DataFrame:
    """The largest gap of each score between the groups of each axis, as they are and at equal ages.

    Columns: target, score, by, ages (as they are, equal), worst, best (groups), n_worst, n_best, gap, low, high. For a
    bias, the two groups are those of the lowest and the highest, and the worse is the one further from 0. The same
    faces select the two groups, so the interval is simultaneous over all pairs of groups (by the largest studentised
    deviation of any pair: Hochberg and Tamhane 1987, section 2.1). At equal ages, each group's score is averaged over
    the decades in which every compared group has MIN_FACES faces, each weighted by its share of all faces (direct
    standardisation). Where all groups have the same score, the first two are named, with a gap of 0.
    """
    groups, decades = predictions.groups(sums.cells, crossed=False)[1:], sums.cells["decade"].to_numpy()
    rows = []
    for i, (target, score) in enumerate(sums.scores):
        if f"{target}_{score}" not in scores.keys("gaps"):
            continue
        for by in dict.fromkeys(axis for axis, *_ in groups):
            inside = np.column_stack([inside for axis, _, inside in groups if axis == by]).astype(float)
            n, value, resampled = sums.means(inside)
            large = n[i] >= min_group_size
            if large.sum() < 2:
                continue
            names = np.array([name for axis, name, _ in groups if axis == by])[large]
            common = {"target": target, "score": score, "by": by}
            means = {"as they are": (n[i, large], value[i, large], resampled[:, i][:, large])}
            if targets.TARGETS[by].kind != "years":
                means |= _standardised(sums, i, inside[:, large], decades)
            rows += [common | {"ages": ages} | _gap(names, mean, score, confidence) for ages, mean in means.items()]
    columns = ["target", "score", "by", "ages", "worst", "best", "n_worst", "n_best", "gap", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _gap(
    names: np.ndarray, means: tuple[np.ndarray, np.ndarray, np.ndarray], score: str, confidence: float
) -> dict[str, object]:
    """Columns worst to high of a row of gaps. names: (g,); means: n (g,), value (g,), resampled (samples, g)."""
    n, value, resampled = means
    lowest, highest = int(np.argmin(value)), int(np.argmax(value))
    if lowest == highest:  # all have the same score
        lowest, highest = 0, 1
    up = metrics.higher_is_better(score)
    up = abs(value[highest]) < abs(value[lowest]) if up is None else up
    best, worst = (highest, lowest) if up else (lowest, highest)
    one, other = np.triu_indices(len(names), 1)
    difference = resampled[:, one] - resampled[:, other]
    error = np.nanstd(difference, axis=0)
    pair = (one == min(worst, best)) & (other == max(worst, best))
    half = _simultaneous(value[one] - value[other], difference, confidence) * error[pair].item()
    gap = value[worst] - value[best]
    return {
        "worst": names[worst], "best": names[best], "n_worst": int(n[worst]), "n_best": int(n[best]),
        "gap": gap, "low": gap - half, "high": gap + half,
    }  # fmt: skip


def _standardised(sums: Sums, i: int, inside: np.ndarray, decades: np.ndarray) -> dict[str, tuple]:
    """{"equal": faces (g,), means (g,), resampled means (samples, g)} of a score over groups (cells, g) at equal ages.

    Empty where no decade has enough faces of every group.
    """
    faces, parts = sums.observed[0, i, 0], []
    for decade in np.unique(decades[decades >= 0]):
        at = decades == decade
        if (faces @ (inside * at[:, None]) >= MIN_FACES).all():
            n, value, resampled = sums.means(inside * at[:, None])
            parts.append((faces[at].sum(), n[i], value[i], resampled[:, i]))
    if not parts:
        return {}
    weights, n, value, resampled = (np.array(part) for part in zip(*parts, strict=True))
    share = weights / weights.sum()
    return {"equal": (n.sum(axis=0), share @ value, np.tensordot(share, resampled, 1))}


def worst(sums: Sums, min_group_size: int, confidence: float) -> dict[str, dict]:
    """The worst group of each target, {target: {score, group, n, value, low, high}}, rounded.

    The same faces select the group and measure it, so the interval is simultaneous over all groups, by the largest
    studentised deviation of any, as that of a gap. Where no resample changes its score, it is by the binomial
    distribution, with the error rate divided by the number of groups (Bonferroni).
    """
    groups = predictions.groups(sums.cells)[1:]
    n, value, resampled = sums.means(np.column_stack([inside for *_, inside in groups]).astype(float))
    rows = {}
    for i, (target, score) in enumerate(sums.scores):
        (large,) = np.nonzero(n[i] >= min_group_size)
        if f"{target}_{score}" not in scores.keys("worst") or not len(large):
            continue
        up = metrics.higher_is_better(score)
        j = large[np.argmin(value[i, large]) if up else np.argmax(value[i, large])]
        half = _simultaneous(value[i, large], resampled[:, i][:, large], confidence) * np.nanstd(resampled[:, i, j])
        low, high = value[i, j] - half, value[i, j] + half
        if score in metrics.SHARES:
            low, high = max(low, 0.0), min(high, 1.0)
            if half == 0:
                low, high = bootstrap.exact(value[i, j], int(n[i, j]), 1 - (1 - confidence) / len(large))
        by, group, _ = groups[j]
        name = "recall" if score == "accuracy" and target in by.split(" x ") else score
        rounded = {key: scores.number(x, name) for key, x in {"value": value[i, j], "low": low, "high": high}.items()}
        rows[target] = {"score": name, "group": group, "n": int(n[i, j]), **rounded}
    return rows


def _simultaneous(value: np.ndarray, resampled: np.ndarray, confidence: float) -> float:
    """Number of standard errors within which all values (g,) are at once, of resampled values (samples, g)."""
    error = np.nanstd(resampled, axis=0)
    deviation = np.abs(resampled - value) / np.where(error > 0, error, np.inf)
    deviation = deviation[np.isfinite(deviation).any(axis=1)]  # a resample may hold no face of some groups
    return float(np.quantile(np.nanmax(deviation, axis=1), confidence)) if len(deviation) else 0.0


def summary(by_group: pd.DataFrame, curves: pd.DataFrame, worst: dict[str, dict], confidence: float) -> dict:
    """Overall coverage, width and calibration errors, from subgroups.csv and reliability.csv, and the worst groups."""
    scored = by_group[by_group["value"].notna()]
    overall = scored[(scored["by"] == "") & scored["score"].isin(("coverage", "width"))].to_dict("records")
    errors = curves[curves["by"] == ""].groupby("target", sort=False)["error"].first()
    return {
        "interval_confidence": confidence,
        **{f"{row['target']}_{row['score']}": row["value"] for row in overall},
        **{f"{target}_calibration_error": error for target, error in errors.items()},
        "worst": worst,
    }
