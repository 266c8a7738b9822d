"""Tables of scores with bootstrap intervals: of a part, of a group of faces, of one score; and confusion counts."""

import numpy as np
import pandas as pd

from faces import params, scores, targets
from faces.evaluation import bootstrap, metrics, predictions

YOUNG, OLD = 15, 70  # years: models are weakest at the sex of faces below YOUNG and at the age of faces above OLD,
LAST = targets.TARGETS["ethnicity"].classes[-1]  # and at the class of all other ethnicities
STEP = 5  # years, width of the age bins of counts.csv


def part_scores(
    labels: dict, decoded: dict, part: str, people: np.ndarray, settings: params.Evaluate
) -> tuple[dict[str, float], pd.DataFrame]:
    """Score one part. people: (n,) the person of each face, since intervals are by bootstrap over people.

    Returns the numbers of metrics.json {TARGET_SCORE: value}, and rows of scores.csv: part, target, score, group, n,
    value, low, high. Only test has intervals; a group of fewer faces than the least group size has no value.
    """
    headline, rows = {}, []
    for name, (values, known) in labels.items():
        target = targets.TARGETS[name]
        table = metrics.statistics(target, values, known, decoded)
        values_by_key = metrics.scores(target, table.sum(axis=0))
        limits = {}
        if part == "test":
            sums = bootstrap.sums(bootstrap.gather(table, people), settings.bootstrap_samples, settings.seed)
            limits = metrics.intervals(target, sums, settings.confidence)
        counts = group_counts(target, values, known)
        n = int(values_by_key.pop("n"))
        for key, value in values_by_key.items():
            value = float(value)
            prefix, _, group = key.partition("_")
            group = group if group in counts else ""
            score = prefix if group else key
            size = counts.get(group, n)
            usable = size >= settings.min_group_size and value == value
            low, high = limits.get(key, (np.nan, np.nan)) if usable else (np.nan, np.nan)
            if low == high and score in metrics.SHARES:
                low, high = bootstrap.exact(value, size, settings.confidence)
            rows.append((part, name, score, group, size, value if usable else np.nan, low, high))
            if f"{name}_{key}" in scores.keys("metrics"):
                headline[f"{name}_{key}"] = value
    columns = ["part", "target", "score", "group", "n", "value", "low", "high"]
    return headline, pd.DataFrame(rows, columns=columns)


def group_counts(target: targets.Target, values: np.ndarray, known: np.ndarray) -> dict[str, int]:
    """Labelled faces in each group of a target: age bins, or classes."""
    index = (targets.age_bin(values) if target.kind == "years" else values.astype(int))[known > 0]
    return dict(zip(target.groups, np.bincount(index, minlength=len(target.groups)).tolist(), strict=True))


def confusion_counts(labels: dict, decoded: dict) -> pd.DataFrame:
    """Rows of counts.csv: target, true, predicted and n, how many labelled faces; ages by the start of their bin."""
    tables = []
    for name, (values, known) in labels.items():
        target, rows = targets.TARGETS[name], pd.DataFrame({"true": values, "predicted": decoded[f"{name}_predicted"]})
        rows = rows[known > 0].astype(int)
        rows = rows // STEP * STEP if target.kind == "years" else rows.replace(dict(enumerate(target.classes)))
        tables.append(rows.groupby(["true", "predicted"]).size().rename("n").reset_index().assign(target=name))
    columns = ["target", "true", "predicted", "n"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def headline_scores(rows: pd.DataFrame, wanted: list[str]) -> dict[str, float]:
    """Headline scores {TARGET_SCORE: value} of rows of predictions.csv, of targets with labels."""
    values = {}
    for target in (targets.TARGETS[name] for name in wanted):
        if target not in predictions.scored_targets(rows):
            continue
        score = metrics.HEADLINE[target.kind]
        value = float(metrics.scores(target, predictions.statistics(rows, target).sum(axis=0))[score])
        if value == value:
            values[f"{target.name}_{score}"] = scores.number(value, score)
    return values


def one_score(rows: pd.DataFrame, target: targets.Target, score: str, settings: params.Evaluate) -> dict:
    """Target, score, n, value, low, high of rows of predictions.csv; NaN where n is below the least group size."""
    table = predictions.statistics(rows, target)
    values = metrics.scores(target, table.sum(axis=0))
    n, value, low, high = int(values["n"]), np.nan, np.nan, np.nan
    if n >= settings.min_group_size:
        sums = bootstrap.sums(
            bootstrap.gather(table, rows["group"].to_numpy()), settings.bootstrap_samples, settings.seed
        )
        value, (low, high) = float(values[score]), metrics.intervals(target, sums, settings.confidence)[score]
    return {"target": target.name, "score": score, "n": n, "value": value, "low": low, "high": high}
