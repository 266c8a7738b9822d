"""Scores of a model as Markdown, for its card and the index page."""

import pandas as pd

from faces import scores, targets
from faces.evaluation import dummy_baseline
from faces.reporting import markdown

AGE_SCORES = (
    "The MAE is that of the median of the predicted age distribution, and the RMSE that of its mean. Both are in years."
)


def interval_table(rows: pd.DataFrame, columns: list[str]) -> str:
    """Table of some columns of rows, their number of faces, and the value of their score with its interval.

    The dummy baseline's score is shown beside it where rows have it.
    """
    values = [markdown.interval(row, scores.digits(row["score"])) for row in rows.to_dict("records")]
    shown = rows[columns].assign(faces=rows["n"].astype(int), **{"value [interval]": values})
    if dummy_baseline.KEY in rows:
        pairs = zip(rows[dummy_baseline.KEY], rows["score"], strict=True)
        shown["dummy baseline"] = [f"{value:.{scores.digits(score)}f}" for value, score in pairs]
    return markdown.table(shown.to_dict("records"))


def useless(summary: dict) -> list[str]:
    """A warning that a model is no better than the dummy baseline on some targets, from summary.json of evaluate."""
    rows = [
        f"{name} ({scores.find(row['score']).title} {markdown.difference(row, scores.digits(row['score']))})"
        for name, row in summary[dummy_baseline.KEY].items()
        if not row["better"]
    ]
    return markdown.quotes([f"**{dummy_baseline.NO_BETTER.capitalize()}** on {', '.join(rows)}."]) if rows else []


def groups(rows: pd.DataFrame, by: str) -> str:
    """Table of one axis, from subgroups.csv: one row a group, one column a score."""
    rows = rows[rows["by"].isin(("", by))].replace({"score": {"recall": "accuracy"}})
    cells: dict[str, dict] = {}
    for row in rows.to_dict("records"):
        cell = cells.setdefault(row["group"], {"group": row["group"], "faces": 0})
        cell["faces"] = max(cell["faces"], int(row["n"]))
        if f"{row['target']}_{row['score']}" in scores.keys("groups"):
            cell[f"{row['target']} {row['score']}"] = markdown.interval(row, scores.digits(row["score"]))
    return markdown.table(list(cells.values()))


def gaps(rows: pd.DataFrame) -> str:
    """Table of gaps.csv."""
    return markdown.table(
        [
            {
                "score": f"{row['target']} {row['score']}",
                "between": row["by"],
                "ages": row["ages"],
                "worst": f"{row['worst']} (n {int(row['n_worst'])})",
                "best": f"{row['best']} (n {int(row['n_best'])})",
                "gap [interval]": markdown.interval({**row, "value": row["gap"]}, scores.digits(row["score"])),
            }
            for row in rows.to_dict("records")
        ]
    )


def worst(summary: dict) -> list[str]:
    """A line for the worst group of each target, from summary.json of evaluate."""
    lines = [
        f"- {name}: {row['group']}, {scores.find(row['score']).title} "
        f"{markdown.interval(row, scores.digits(row['score']))}, n {row['n']}"
        for name, row in summary["worst"].items()
    ]
    return lines or ["- no group is of that size"]


def calibration(summary: dict) -> list[str]:
    """Lines on age intervals and probabilities, from summary.json of evaluate."""
    lines = []
    for name, target in targets.TARGETS.items():
        if target.kind == "years" and f"{name}_coverage" in summary:
            coverage, width = summary[f"{name}_coverage"], summary[f"{name}_width"]
            lines += [
                f"- {name}: the {summary['interval_confidence']:.0%} interval contains the label of {coverage:.1%} of "
                f"test faces; its mean width is {width:.1f} years"
            ]
        elif f"{name}_calibration_error" in summary:
            lines += [f"- {name}: expected calibration error {summary[f'{name}_calibration_error']:.3f} (10 bins)"]
    return lines


def leaks(summary: dict) -> str:
    """Sentences on test faces whose photo is also in another part. summary: of a model, in audit's summary."""
    text = (
        f"{summary['leaked']} of {summary['test_faces']:,} test faces have a copy of their photo among the "
        f"{summary['other_faces']:,} faces of the other parts. Candidates are found by "
        f"{' and '.join(summary['looked_for_by'])}, and decided by the correlation of fine detail; the highest among "
        f"those that are no copies is {summary['closest']:.2f}."
    )
    if not summary["leaked"]:
        return text
    rest = ", ".join(
        f"{key.replace('_', ' ')} {value:.{scores.digits(key)}f} "
        f"(with them: {summary['scores'][key]:.{scores.digits(key)}f})"
        for key, value in summary["scores_without_leaked"].items()
    )
    return f"{text} Scores without these faces: {rest}."


def resampled_units(groups: pd.Series) -> str:
    """The units of the bootstrap, in words: people, or faces where no two are known to be of one person."""
    return "people" if groups.duplicated().any() else "faces, since it is not known which are of one person"
