"""The page on a model that `commands.score` scored on a table of images, from the files of its folder."""

from pathlib import Path

import pandas as pd

from faces import scores, targets
from faces.data import records
from faces.evaluation import predictions
from faces.reporting import markdown, score_sections

BINS = (
    "Some ages are bins of years. The MAE and RMSE are then to the middle of the bin. An interval is right if it meets "
    "the bin. *Years outside the labelled bin* are 0 for a prediction inside."
)


def page(about: dict, worst: dict[str, pd.DataFrame], confidence: float, folder: Path) -> str:
    """The page. about: of scores.json; worst: rows to show by target; confidence: of the intervals of scores."""
    rows = records.read(folder / "scores.csv").query("group == ''")
    groups = records.read(folder / "subgroups.csv")
    summary = records.read_json(folder / "summary.json")
    whole = groups[(groups["by"] == "") & groups["score"].isin(("beyond", "coverage")) & groups["value"].notna()]
    axes = [name for name in targets.TARGETS if name in set(groups["by"])]
    left_out = [{"reason": reason, "rows": f"{n:,}"} for reason, n in about["left_out"].items()]
    plots = sorted(path.name for path in (folder / "plots").glob("*.png"))
    return "\n".join(
        [
            f"# {about['table']}, scored with {about['model']}",
            "",
            f"{about['scored']:,} of {about['rows']:,} rows of `{about['labels']}` are scored: {about['how']}. This "
            "page and its files are for you alone: the folder is not in git.",
            "",
            *score_sections.useless(summary),
            f"Brackets are {confidence:.0%} bootstrap intervals over people, or over faces of whom nothing is known. "
            f"{score_sections.AGE_SCORES}{' ' + BINS if about['bins'] else ''}",
            "",
            score_sections.interval_table(scores.select(rows, "metrics"), ["target", "score"]),
            "",
            *([score_sections.interval_table(whole, ["target", "score"]), ""] if len(whole) else []),
            *against(about),
            "## Rows that are left out",
            "",
            markdown.table(left_out),
            "",
            "## Groups",
            "",
            *(line for axis in axes for line in (f"By {axis}:", "", score_sections.groups(groups, axis), "")),
            "Worst groups:",
            "",
            *score_sections.worst(summary),
            "",
            "## Calibration",
            "",
            *score_sections.calibration(summary),
            "",
            "## Largest errors",
            "",
            *(line for name, table in worst.items() for line in worst_section(name, table)),
            "## Plots",
            "",
            *(line for name in plots for line in (f"![{name.removesuffix('.png')}](plots/{name})", "")),
        ]
    )


def against(about: dict) -> list[str]:
    """The two models of --against on the same faces; empty without one. about: of scores.json."""
    if not about["against"]:
        return []
    share = about["summary"]["interval_confidence"]
    rows = [
        {
            "target": row["target"],
            "score": scores.find(row["score"]).title.format(confidence=share),
            "faces": row["n"],
            about["model"]: f"{row['first']:.{scores.digits(row['score'])}f}",
            about["against"]: f"{row['second']:.{scores.digits(row['score'])}f}",
            "difference": markdown.difference(row, scores.digits(row["score"]))
            if row["difference"] == row["difference"]
            else "n too small",
        }
        for row in about["compared"]
    ]
    text = (
        f"The scores of both models on the same faces. The difference is that of `{about['model']}` less the other's."
    )
    return [f"## Against {about['against']}", "", text, "", markdown.table(rows), ""]


def worst_section(name: str, rows: pd.DataFrame) -> list[str]:
    """The faces with the largest errors of a target, as `largest_errors` gives them."""
    if not len(rows):
        return [f"{name}: no error.", ""]
    return [f"{name}:", "", f"![faces](worst_{name}.png)", "", markdown.table(rows.to_dict("records")), ""]


def largest_errors(rows: pd.DataFrame, target: targets.Target, count: int) -> pd.DataFrame:
    """The `count` faces with the largest errors, as text: image, label, predicted, error.

    rows: of predictions.csv. The error is in years, outside the bin where the label is one; or the probability of a
    wrong class.
    """
    errors = predictions.face_scores(rows, target)
    years = target.kind == "years"
    if years:
        error = errors.get("beyond", errors["mae"])
    else:
        chosen = [f"{target.name}_p_{name}" for name in rows[f"{target.name}_predicted"]]
        share = [row[column] for row, column in zip(rows.to_dict("records"), chosen, strict=True)]
        error = pd.Series(share).where(errors["accuracy"] == 0).to_numpy()
    order = pd.Series(error, index=rows.index).dropna().loc[lambda values: values > 0]
    kept = order.sort_values(ascending=False, kind="stable").index[:count]
    digits = 1 if years else 2
    return pd.DataFrame(
        {
            "image": rows.loc[kept, "face_id"],
            "label": [label(row, target) for row in rows.loc[kept].to_dict("records")],
            "predicted": [f"{value:.0f}" if years else value for value in rows.loc[kept, f"{target.name}_predicted"]],
            "years off" if years else "probability": [f"{value:.{digits}f}" for value in order[kept]],
        }
    )


def label(row: dict, target: targets.Target) -> str:
    """A label as text: a class, years, or the first and last year of a bin."""
    value, first = row[target.name], row.get(f"{target.name}_first", row[target.name])
    if target.kind == "classes":
        return str(value)
    return f"{value:g}" if first == value else f"{first:g}-{row[f'{target.name}_last']:g}"
