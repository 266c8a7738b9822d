"""Tables of scores with bootstrap intervals: of a part, of a group of faces, of one score; and confusion counts."""

import numpy as np
import pandas as pd

from faces import params, scores, targets
from faces.evaluation import bootstrap, metrics, predictions

YOUNG, OLD = 15, 70  # years: models are weakest at the sex of faces below YOUNG and at the age of faces above OLD,
LAST = targets.TARGETS["ethnicity"].classes[-1]  # and at the class of all other ethnicities
STEP = 5  # years, width of the age bins of counts.csv
COLUMNS = ["target", "score", "group", "n", "value", "low", "high"]


def target_scores(
    rows: pd.DataFrame, target: targets.Target, settings: params.Evaluate, with_intervals: bool = True
) -> pd.DataFrame:
    """All scores of a target, of rows of predictions.csv: target, score, group, n, value, low, high.

    A group of fewer faces than the least group size has no value.
    """
    table = predictions.statistics(rows, target)
    values = metrics.scores(target, table.sum(axis=0))
    index = targets.group_index(target, predictions.labels_of(rows, target))
    n = {"": int(values.pop("n"))} | {group: int((index == i).sum()) for i, group in enumerate(target.groups)}
    limits = {}
    if with_intervals and n[""] >= settings.min_group_size:
        people = rows["group"].to_numpy()
        [sums] = bootstrap.resample([table], people, settings.bootstrap_samples, settings.seed)
        limits = metrics.intervals(target, sums, settings.confidence)
    scored = []
    for key, value in values.items():
        name, _, group = key.partition("_")
        score, group = (name, group) if group in n else (key, "")
        row = {"target": target.name, "score": score, "group": group, "n": n[group]}
        if n[group] >= settings.min_group_size and value == value:
            low, high = limits.get(key, (np.nan, np.nan))
            if low == high and score in metrics.SHARES:
                low, high = bootstrap.exact(float(value), n[group], settings.confidence)
            row |= {"value": float(value), "low": low, "high": high}
        scored.append(row)
    return pd.DataFrame(scored, columns=COLUMNS)


def part_scores(rows: pd.DataFrame, dummy: pd.DataFrame, part: str, settings: params.Evaluate) -> pd.DataFrame:
    """Rows of scores.csv: those of target_scores for each predicted target, with the part; only test has intervals.

    dummy: the dummy baseline's predictions of the same faces, whose scores are the column `dummy_baseline`.
    """
    tables = []
    for target in predictions.scored_targets(rows):
        table = target_scores(rows, target, settings, part == "test")
        constant = target_scores(dummy, target, settings, with_intervals=False)["value"]
        tables.append(table.assign(part=part, dummy_baseline=constant))
    columns = ["part", *COLUMNS, "dummy_baseline"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def one_score(rows: pd.DataFrame, target: targets.Target, score: str, settings: params.Evaluate) -> dict:
    """Target, score, n, value, low, high of rows of predictions.csv; NaN where n is below the least group size."""
    scored = target_scores(rows, target, settings)
    return scored[(scored["score"] == score) & (scored["group"] == "")].drop(columns="group").iloc[0].to_dict()


def values(rows: pd.DataFrame) -> dict[str, float]:
    """Scores {TARGET_SCORE: value}, unrounded, for metrics.json, of rows of predictions.csv that have labels."""
    result: dict[str, float] = {}
    for target in predictions.scored_targets(rows):
        scored = metrics.scores(target, predictions.statistics(rows, target).sum(axis=0))
        for score in scores.listed("metrics", target.kind):
            result[f"{target.name}_{score.name}"] = float(scored[score.name])
    return {key: value for key, value in result.items() if value == value}


def paired_scores(first: pd.DataFrame, second: pd.DataFrame, table: str, settings: params.Evaluate) -> pd.DataFrame:
    """The scores that a table of faces/scores.py lists, of two models on the same faces in the same order.

    first, second: rows of predictions.csv. Returns target, score, n, first, second, difference (first less second),
    low, high (of the difference, by paired bootstrap).
    """
    scored = []
    for target in predictions.scored_targets(first, second):
        tables = [predictions.statistics(rows, target) for rows in (first, second)]
        sums = bootstrap.resample(tables, first["group"].to_numpy(), settings.bootstrap_samples, settings.seed)
        limits = metrics.intervals(target, sums[0], settings.confidence, sums[1])
        one, two = (metrics.scores(target, rows.sum(axis=0)) for rows in tables)
        for score in (row.name for row in scores.listed(table, target.kind)):
            values = float(one[score]), float(two[score]), float(one[score] - two[score])
            scored.append((target.name, score, int(one["n"]), *values, *limits.get(score, (np.nan, np.nan))))
    columns = ["target", "score", "n", "first", "second", "difference", "low", "high"]
    return pd.DataFrame(scored, columns=columns)


def pair_names(rows: pd.DataFrame, first: str) -> pd.Series:
    """Names of pairs of models: their dataset, or the first model where a dataset has several pairs.

    rows: of FIRST_against_SECOND.csv.
    """
    several = rows.groupby("dataset")[first].transform("nunique") > 1
    return rows["dataset"].where(~several, rows[first])


def confusion_counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of counts.csv: target, true, predicted and n, how many labelled faces; ages by the start of their bin."""
    columns, tables = ["target", "true", "predicted", "n"], []
    for target in predictions.scored_targets(rows):
        pairs = rows[[target.name, f"{target.name}_predicted"]].set_axis(["true", "predicted"], axis=1)
        if target.kind == "years":
            pairs = pairs.dropna().astype(int) // STEP * STEP
        counts = pairs[pairs["true"] != ""].groupby(["true", "predicted"]).size().rename("n")
        tables.append(counts.reset_index().assign(target=target.name))
    return pd.concat(tables or [pd.DataFrame(columns=columns)], ignore_index=True)[columns]
