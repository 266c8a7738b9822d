"""Scores of a model as Markdown, for its card and the index page."""

import pandas as pd

from faces import scores, targets
from faces.reporting import markdown


def scores_on_test(rows: pd.DataFrame) -> str:
    """Table of the scores on test, from scores.csv."""
    rows = scores.select(rows[(rows["part"] == "test") & (rows["group"] == "")], "metrics")
    cells = [
        {"target": row["target"], "score": row["score"], "faces": int(row["n"]),
         "value [interval]": markdown.interval(row, scores.digits(row["score"]))}
        for row in rows.to_dict("records")
    ]  # fmt: skip
    return markdown.table(cells)


def cross_dataset(rows: pd.DataFrame) -> str:
    """Table of the scores on other datasets, from cross_dataset.csv."""
    cells = [
        {"dataset": row["dataset"], "score": f"{row['target']} {row['score']}", "faces": int(row["n"]),
         "value [interval]": markdown.interval(row, scores.digits(row["score"]))}
        for row in rows.to_dict("records")
    ]  # fmt: skip
    return markdown.table(cells)


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
    cells = [
        {
            "score": f"{row['target']} {row['score']}", "between": row["by"], "ages": row["ages"],
            "worst": f"{row['worst']} (n {int(row['n_worst'])})", "best": f"{row['best']} (n {int(row['n_best'])})",
            "gap [interval]": markdown.interval({**row, "value": row["gap"]}, scores.digits(row["score"])),
        }
        for row in rows.to_dict("records")
    ]  # fmt: skip
    return markdown.table(cells)


def worst(summary: dict) -> list[str]:
    """A line for the worst group of each target, from summary.json of evaluate."""
    if not summary["worst"]:
        return ["- no group is of that size"]
    return [
        f"- {name}: {row['group']}, {scores.find(row['score']).title} "
        f"{markdown.interval(row, scores.digits(row['score']))}, n {row['n']}"
        for name, row in summary["worst"].items()
    ]


def calibration(summary: dict) -> list[str]:
    """Lines on age intervals and probabilities, from summary.json of evaluate."""
    lines = []
    for name, target in targets.TARGETS.items():
        if target.kind == "years" and f"{name}_coverage" in summary:
            coverage, width = summary[f"{name}_coverage"], summary[f"{name}_width"]
            lines += [
                f"- {name}: the {summary['interval_confidence']:.0%} interval contains the label of {coverage:.1%} "
                "of test "
                f"faces; its mean width is {width:.1f} years"
            ]
        elif f"{name}_calibration_error" in summary:
            error = summary[f"{name}_calibration_error"]
            lines += [f"- {name}: expected calibration error {error:.3f} (10 bins)"]
    return lines


def without_leaks(leaks: dict) -> str:
    """Sentence on the scores without leaked test faces, '' where none leaked; leaks: of a model in audit's summary."""
    if not leaks["leaked"]:
        return ""
    rest = ", ".join(
        f"{key.replace('_', ' ')} {value:.{scores.digits(key)}f} "
        f"(with them {leaks['scores'][key]:.{scores.digits(key)}f})"
        for key, value in leaks["scores_without_leaked"].items()
    )
    return f"Without them: {rest}."


def resampled_units(groups: pd.Series) -> str:
    """The units of the bootstrap, in words: people, or faces where no two are known to be of one person."""
    return "people" if groups.duplicated().any() else "faces, since it is not known which are of one person"
