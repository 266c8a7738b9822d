"""Scores with intervals as tables: of a part, of a group of faces, of one score; and confusion counts."""

import numpy as np
import pandas as pd

from faces import params, scores, targets
from faces.evaluation import bootstrap, metrics, predictions

YOUNG, OLD = 15, 70  # years: where models of faces are weakest, sex below and age above
LAST = targets.TARGETS["ethnicity"].classes[-1]  # and the class that holds all others
STEP = 5  # years, by which ages are counted


def part_scores(
    labels: dict, decoded: dict, part: str, people: np.ndarray, settings: params.Evaluate
) -> tuple[dict[str, float], pd.DataFrame]:
    """Score one part; people: (n,) whose face each is, since intervals are by resampling people.

    Returns the headline numbers {TARGET_SCORE: value}, and rows of scores.csv: part, target, score, group, n, value,
    low, high. Intervals are for test; a group of fewer than min_n faces has no value.
    """
    headline, rows = {}, []
    for name, (values, known) in labels.items():
        target = targets.TARGETS[name]
        table = metrics.statistics(target, values, known, decoded)
        found = metrics.scores(target, table.sum(axis=0))
        limits = {}
        if part == "test":
            drawn = bootstrap.sums(bootstrap.gather(table, people), settings.resamples, settings.seed)
            limits = metrics.intervals(target, drawn, settings.confidence)
        counts = group_counts(target, values, known)
        n = int(found.pop("n"))
        for key, value in found.items():
            value = float(value)
            prefix, _, group = key.partition("_")
            group = group if group in counts else ""
            score = prefix if group else key
            size = counts.get(group, n)
            usable = size >= settings.min_n and value == value
            low, high = limits.get(key, (np.nan, np.nan)) if usable else (np.nan, np.nan)
            if low == high and score in metrics.SHARES:
                low, high = bootstrap.exact(value, size, settings.confidence)
            rows.append((part, name, score, group, size, value if usable else np.nan, low, high))
            if f"{name}_{key}" in scores.keys("metrics"):
                headline[f"{name}_{key}"] = value
    columns = ["part", "target", "score", "group", "n", "value", "low", "high"]
    return headline, pd.DataFrame(rows, columns=columns)


def group_counts(target: targets.Target, values: np.ndarray, known: np.ndarray) -> dict[str, int]:
    """Faces in each group that a target's scores are broken down by: age bins, or classes."""
    index = (targets.age_bin(values) if target.kind == "years" else values.astype(int))[known > 0]
    return dict(zip(target.groups, np.bincount(index, minlength=len(target.groups)).tolist(), strict=True))


def confusion_counts(labels: dict, decoded: dict) -> pd.DataFrame:
    """Rows of counts.csv: target, true, predicted and n, how many labelled faces; ages by the start of their STEP."""
    found = []
    for name, (values, known) in labels.items():
        target, pair = targets.TARGETS[name], (values, decoded[f"{name}_predicted"])
        whole = [side[known > 0].astype(int) for side in pair]
        said = [side // STEP * STEP if target.kind == "years" else np.array(target.classes)[side] for side in whole]
        rows = pd.DataFrame(dict(zip(("true", "predicted"), said, strict=True)))
        found.append(rows.groupby(["true", "predicted"]).size().rename("n").reset_index().assign(target=name))
    columns = ["target", "true", "predicted", "n"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def headline_scores(said: pd.DataFrame, wanted: list[str]) -> dict[str, float]:
    """Headline scores {TARGET_SCORE: value} of rows of predictions.csv; those without labels left out."""
    found = {}
    for name in (name for name in wanted if name in said):
        target = targets.TARGETS[name]
        score = metrics.HEADLINE[target.kind]
        value = float(metrics.scores(target, predictions.statistics(said, target).sum(axis=0))[score])
        if value == value:
            found[f"{name}_{score}"] = scores.number(value, score)
    return found


def one_score(rows: pd.DataFrame, target: targets.Target, score: str, settings: params.Evaluate) -> dict:
    """Target, score, n, value, low and high of rows of predictions.csv, by bootstrap over people; NaN below min_n."""
    each = predictions.statistics(rows, target)
    value = metrics.scores(target, each.sum(axis=0))
    n, shown, low, high = int(value["n"]), np.nan, np.nan, np.nan
    if n >= settings.min_n:
        drawn = bootstrap.sums(bootstrap.gather(each, rows["group"].to_numpy()), settings.resamples, settings.seed)
        shown, (low, high) = float(value[score]), metrics.intervals(target, drawn, settings.confidence)[score]
    return {"target": target.name, "score": score, "n": n, "value": shown, "low": low, "high": high}
