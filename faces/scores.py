"""How each score is shown: its title, its decimals and the tables that list it.

Its formula and direction are in faces/evaluation/metrics.py.

Numbers that are committed or shown are rounded here; numbers that decide (verdicts, digests, seed spreads) are not.
Another machine's last bits change a probability by about 1e-7, and so a mean age by 1e-5 years and the width of an age
interval by 1e-4. The decimals are so few that such a change seldom shows among the thousand numbers of a run, and so
many that no interval of a thousand test faces is blurred. tests/test_noise.py checks this.
"""

import functools
from dataclasses import dataclass

import pandas as pd

from faces import targets

DEFAULT_DIGITS = 3  # decimals of shares, skills and losses, and of any other number


@dataclass(frozen=True)
class Score:
    """How a score is shown. tables: names of the tables that list it, separated by spaces.

    metrics: metrics.json of data/evaluated, a card's table of scores, limits of the gate. comparison: the comparison of
    models. card: a card's model-index. cross_dataset: cross_dataset.csv. subgroups: subgroups.csv. groups: tables by
    group on pages, and plots by group. gaps: gaps.csv. worst: the worst group of a target.
    """

    name: str
    title: str
    digits: int = DEFAULT_DIGITS
    tables: str = ""
    unit: str = ""


# By kind of target, in the order of columns and rows.
SCORES = {
    "years": (
        Score("mae", "MAE", 2, "metrics comparison card cross_dataset subgroups groups gaps worst", "years"),
        Score("rmse", "RMSE", 2, "metrics comparison card cross_dataset", "years"),
        Score("bias", "predicted less true", 2, "metrics cross_dataset subgroups groups gaps", "years"),
        Score("within_5", "within 5 years", 3, "metrics cross_dataset subgroups"),
        Score("bin_accuracy", "5-bin accuracy", 3, "metrics comparison"),
        Score("mae_bin_average", "mean MAE of age bins", 2, "metrics", "years"),
        Score("percentile_gap", "gap of percentiles", 2, "", "years"),
        Score("beyond", "years outside the labelled bin", 2, "subgroups groups", "years"),
        Score("coverage", "share inside the {confidence:.0%} interval", 3, "subgroups groups"),
        Score("width", "width of the interval", 1, "subgroups", "years"),
        Score("group_width", "width of the interval in a group", 0, "", "years"),
    ),
    "classes": (
        Score("accuracy", "accuracy", 3, "metrics comparison card cross_dataset subgroups groups gaps worst"),
        Score("balanced_accuracy", "balanced accuracy", 3, "metrics card cross_dataset"),
        Score("mcc", "MCC", 3, "metrics"),
        Score("macro_f1", "macro F1", 3, "metrics"),
        Score("recall", "recall", 3, "worst"),
        Score("confidence", "mean probability of the predicted class", 2),
    ),
}


def listed(table: str, kind: str) -> list[Score]:
    """The scores of a kind of target that a table lists, in order."""
    return [score for score in SCORES[kind] if table in score.tables.split()]


def keys(table: str) -> list[str]:
    """TARGET_SCORE of each target and score that a table lists, e.g. age_mae."""
    return [f"{name}_{score.name}" for name, row in targets.TARGETS.items() for score in listed(table, row.kind)]


def select(rows: pd.DataFrame, table: str) -> pd.DataFrame:
    """Those of rows with columns target and score that a table lists."""
    return rows[(rows["target"] + "_" + rows["score"]).isin(keys(table))]


def headlines() -> list[tuple[str, str, str]]:
    """Column title, target and score of each column of the comparison."""
    return [
        (f"{name} {score.title}", name, score.name)
        for name, row in targets.TARGETS.items()
        for score in listed("comparison", row.kind)
    ]


@functools.cache
def find(name: str) -> Score:
    """The score of a name in a table, a key of metrics.json or a title: `mae`, `val_age_mae`, `age MAE`.

    Any other name is taken as a score of that title and DEFAULT_DIGITS.
    """
    fitting = [score for kind in SCORES.values() for score in kind if name.lower().endswith(score.name)]
    return max(fitting, key=lambda score: len(score.name), default=Score(name, name))


def digits(score: str) -> int:
    """Decimals of a score, by any of the names that `find` takes."""
    return find(score).digits


def axis_label(score: str, confidence: float) -> str:
    """Title and unit of a score. confidence: of the age intervals."""
    shown = find(score)
    return shown.title.format(confidence=confidence) + (f" ({shown.unit})" if shown.unit else "")


def number(value: float, score: str) -> float:
    """A value of a score, rounded as it is printed: to the nearest, and never to -0."""
    return round(float(value), digits(score)) + 0.0


def table(rows: pd.DataFrame, scores: pd.Series | None = None) -> pd.DataFrame:
    """Rows with numbers rounded by the score of their row, p-values (`p`, `p_...`) to two significant digits.

    scores: names of the rows' scores; the column `score` unless given; where there is none, each column names its own.
    """
    if scores is None and "score" in rows:
        scores = rows["score"]
    rounded = rows.infer_objects()
    for name in rounded.select_dtypes("float"):
        if name == "p" or name.startswith("p_"):
            rounded[name] = [float(f"{p:.1e}") for p in rounded[name]]
        else:
            by = [name] * len(rounded) if scores is None else scores
            rounded[name] = [number(value, score) for value, score in zip(rounded[name], by, strict=True)]
    return rounded
