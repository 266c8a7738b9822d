"""The results of a published model as Markdown: its page, and its section in README.md."""

import copy
import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from commands.publish import results
from faces.data import provenance
from faces.params import renamed
from faces.reporting import dataset_card, markdown, published

TITLES = {  # of the scores of ablations
    "score": "score",
    "age_mae": "MAE, years",
    "sex_accuracy": "accuracy of sex",
    "ethnicity_accuracy": "accuracy of ethnicity",
}
TITLES_OF_CHANGES = {"mae": "{target} MAE", "accuracy": "{target} accuracy"}  # of scores of robustness.csv
README = Path("README.md")
README_SCORES = ("age mae", "age rmse", "sex accuracy", "ethnicity accuracy", "age coverage")  # of all test faces
BEFORE = {"teachers": "trained teachers", "trials": "short trainings of a search"}  # keys of the cost, as text
PREFIX = re.compile(r"^\+?(models\.[^.]+\.)?((train|budget|options)\.)?")  # of a changed key, left out of the table


def render(name: str, rows: pd.DataFrame, about: dict, folder: Path) -> str:
    """The page; rows: of results.csv; about: of about.json; folder: has the other tables and the plots."""
    tune = renamed.translate(copy.deepcopy(about["params"]))["tune"]
    tables = {  # file: title, text
        published.FILES: (
            "Files",
            "What is shipped in `pretrained/`, each file scored on the same test faces: the Keras file as it is, ONNX "
            "files with the calibration that they hold.",
        ),
        published.TRIALS: (
            "Search",
            f"Short trainings with other numbers, by `tune`, judged on {about['faces']['val']:,} validation faces: "
            + search_result(tune["min_improvement"], about["search"], folder / published.TRIALS),
        ),
        published.ABLATIONS: (
            "What was tried",
            "Each changes one thing of `base`, judged on validation. In brackets what it gains over `base`, less error "
            f"being a gain. {gain_note(folder / published.ABLATIONS)} All scores, those of groups too: `levers.csv`; "
            f"what all have in common: `recipes/{name}.ablations.yaml`.",
        ),
        published.ROBUSTNESS: (
            "Robustness",
            "What changes of the image do, on the faces of validation, calibration and test together, to which no "
            "weights were fitted. In brackets the paired difference from the unchanged image, with its interval. "
            "*years moved* is the mean size of the change of an age, *mean move* the mean change. All scores: "
            "`robustness.csv`.",
        ),
        published.PEERS: (
            "Other networks",
            "All trained from random weights by the same stages, for about as long, and tested on the same faces, with "
            "what `params.yaml` says by default of optimiser, changes of pictures and widths of labels; none of it was "
            "searched for any. `residual` is the published model's network, trained so: by itself and shortly. "
            "*minutes* are what it took.",
        ),
    }
    plots = sorted(path.name for path in folder.glob("*.png") if path.name != "learning_curves.png")
    lines = [
        f"# {name}",
        "",
        f"Written by `make publish RECIPE={name}` from a finished run of `{about['recipe']}`; no number is typed by "
        "hand. The recipe was chosen on validation faces alone.",
        "",
        *(line for text in warnings(about) for line in (f"> {text}", "")),
        results.as_table(rows),
        "",
        "Copies of one photo are never on both sides of the split. MAE is of the median of the age distribution, RMSE "
        f"of its mean. Intervals are by bootstrap over {about['resampled']}; a group of few faces has no score. All "
        "groups: `groups.csv`; gaps between them: `gaps.csv`.",
        "",
        *earlier_section(about["earlier"]),
        "## Learning",
        "",
        "![loss and validation scores by epoch](learning_curves.png)",
        "",
        *(line for file, texts in tables.items() for line in table_section(folder / file, *texts, about["stale"])),
        *folds_section(name),
        "",
        "## Ages and groups",
        "",
        *(line for file in plots for line in (f"![{file.removesuffix('.png').replace('_', ' ')}]({file})", "")),
        "## What it came from",
        "",
        f"{size_and_cost(about)} Commit `{about['commit']}`; `about.json` has all of `params.yaml`, and the packages.",
        "",
        "| archive | bytes | sha256 | as published |",
        "| --- | --- | --- | --- |",
        *(
            f"| {a['name']} | {a['size']:,} | `{a['sha256']}` | {dataset_card.published(a)} |"
            for a in about["archives"]
        ),
        "",
    ]
    return "\n".join(lines)


def table_section(path: Path, title: str, text: str, warnings: dict[str, str]) -> list[str]:
    """Section on a table, where there is one; warnings: of origin.outdated_tables."""
    if not path.exists():
        return []
    rows = pd.read_csv(path).drop(columns="split", errors="ignore")
    as_cells = {
        published.ABLATIONS: ablation_cells,
        published.TRIALS: trial_cells,
        published.ROBUSTNESS: robustness_cells,
    }.get(path.name, as_text)
    cells = as_cells(rows)
    return [f"## {title}", "", f"{text} {warnings.get(path.name, '')}".rstrip(), "", markdown.table(cells), ""]


def earlier_section(earlier: list[dict]) -> list[str]:
    """Section on models that were scored on the same test faces before; earlier: as origin.earlier_models."""
    if not earlier:
        return []
    rows = [{**row, "commit": f"`{row['commit'][:8]}`"} for row in earlier]
    return [
        "## Earlier looks at the test faces",
        "",
        "These were published before it, with scores on the same test faces, so the scores above are no first look at "
        "them. Each was trained and chosen without them.",
        "",
        markdown.table(as_text(pd.DataFrame(rows))),
        "",
    ]


def search_result(min_improvement: float, search: dict, trials: Path) -> str:
    """What a search chose; search: data/tuned/NAME.json without its trials; trials: their table."""
    if search["gain"] is None:
        return "of a model published before; this one was not searched for."
    kept = f"less than the {min_improvement:g} that is asked for, so these were kept."
    best = f"the best is {search['gain']:.4f} of score above the defaults"
    intervals = "paired, and simultaneous over the trials" if "low" in columns(trials) else "not measured"
    return f"{best}, {'and its numbers were taken.' if search['values'] else kept} Intervals: {intervals}."


def folds_section(name: str) -> list[str]:
    """Section on the mean scores over the folds of a published split, where `make folds` ran them."""
    path = published.FOLDER / published.FOLDS
    rows = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["model", "protocol"])
    rows = rows[(rows["model"] == name) & (rows["protocol"] != published.OWN_FOLDS)]
    if not len(rows):
        return [
            "## Five folds of the CVPR 2024 benchmark",
            "",
            "Not measured: its file of faces and folds was not at hand (see `split.from` in docs/data.md).",
        ]
    return ["## Folds that others published", "", markdown.table(as_text(rows.drop(columns="model")))]


def size_and_cost(about: dict) -> str:
    """Parameters, files, epochs, minutes where known, and the cost of its teachers and search."""
    cost, trained = about["cost"], about["trained"]
    files = " and ".join(f"`{file}` {size / 1e6:.1f} MB" for file, size in cost["files"].items())
    took = f", in {cost['minutes']:.0f} minutes ({cost['machine']})" if cost["minutes"] else ""
    text = (
        f"{about['parameters']:,} parameters, {files}; trained for {cost['epochs']} epochs on "
        f"{trained['train']['threads']} threads, in {trained['budget']['precision']}{took}."
    )
    before = []
    if cost["teachers"]:
        counts = cost["teachers"].values()
        before += [f"{len(counts)} teachers, which it is distilled from ({epoch_counts(counts)})"]
    if cost["trials"]:
        before += [f"a search of {len(cost['trials'])} short trainings ({epoch_counts(cost['trials'])})"]
    return f"{text} Before it came {' and '.join(before)}." if before else text


def epoch_counts(counts: Iterable[int]) -> str:
    """Epochs of several trainings: `20 and 20 epochs`, or `4 epochs each`."""
    *others, last = counts
    if set(others) <= {last}:
        return f"{last} epochs each" if others else f"{last} epochs"
    return f"{', '.join(map(str, others))} and {last} epochs"


def ablation_cells(rows: pd.DataFrame) -> list[dict]:
    """Cells of each ablation: what it changes, its scores and gains, its cost; rows of levers.csv."""
    table = []
    for row in rows.to_dict("records"):
        changes = [f"{PREFIX.sub('', key)} {value}" for key, value in json.loads(row["changed"]).items()]
        cells = {
            "lever": row["lever"],
            "changed": ", ".join(changes),
            "epochs": short(row["epochs"]),
            "parameters": short(row["parameters"]),
        }
        for key, title in TITLES.items():
            if key in row and row[key] == row[key]:
                limits = {end: row.get(f"{key}_gain_{end}", np.nan) for end in ("low", "high")}
                shown = gain_text({"difference": row[f"{key}_gain"], **limits})
                cells[title] = f"{row[key]:.3f}" + (f" ({shown})" if row["lever"] != "base" else "")
        if row["core_minutes"] == row["core_minutes"]:
            cells["core minutes"] = short(round(row["core_minutes"], 1))
        table.append(cells)
    return table


def trial_cells(rows: pd.DataFrame) -> list[dict]:
    """Cells of each trial of a search, with what its score gains over the defaults, where that was measured."""
    if "low" not in rows:
        return as_text(rows)
    gains = [np.nan if row["low"] != row["low"] else gain_text(row) for row in rows.to_dict("records")]
    return as_text(rows.drop(columns=["difference", "low", "high"]).assign(gain=gains))


def robustness_cells(rows: pd.DataFrame) -> list[dict]:
    """Cells of one row a change and strength; rows: of robustness.csv."""
    cells: dict[tuple, dict] = {}
    for row in rows.to_dict("records"):
        cell = cells.setdefault(
            (row["change"], row["strength"]), {"change": row["change"], "strength": short(row["strength"])}
        )
        if row["score"] in TITLES_OF_CHANGES:
            digits = 2 if row["score"] == "mae" else 3
            difference = f" ({markdown.difference(row, digits)})" if row["change"] != "none" else ""
            title = TITLES_OF_CHANGES[row["score"]].format(target=row["target"])
            cell[title] = f"{row['value']:.{digits}f}{difference}"
        if row["score"] == "mae":
            moved = row["absolute_change_years"], row["change_years"]
            cell |= {"years moved": f"{moved[0]:.2f}", "mean move": f"{moved[1] + 0.0:+.2f}"}
    return list(cells.values())


def gain_text(row: dict) -> str:
    """A gain with its interval, said to be inconclusive where 0 is inside; without an interval the gain alone."""
    if row["low"] != row["low"]:
        return f"{round(row['difference'], 3) + 0.0:+.3f}"
    return markdown.difference(row, 3) + (", inconclusive" if row["low"] <= 0 <= row["high"] else "")


def columns(path: Path) -> list[str]:
    """Names of the columns of a table; none where there is no table."""
    return [*pd.read_csv(path, nrows=0)] if path.exists() else []


def gain_note(path: Path) -> str:
    """What the gains of a table of ablations are worth; empty where there is none."""
    if not path.exists():
        return ""
    if "score_gain_low" in columns(path):
        return (
            "Each has its paired interval over people, and is called inconclusive where 0 is inside; the differences "
            "between seeds are not in the interval, `another seed` shows one."
        )
    return "No intervals were measured: a gain counts only if it is clearly above what `another seed` changes."


def as_text(rows: pd.DataFrame) -> list[dict]:
    """Cells of rows as short text; those without a value are left out."""
    return [{key: short(value) for key, value in row.items() if value == value} for row in rows.to_dict("records")]


def short(value: object) -> str:
    """Text of a cell: whole numbers without decimals, others with four significant digits."""
    if not isinstance(value, float):
        return str(value)
    return f"{value + 0.0:,.0f}" if value.is_integer() else f"{value:.4g}"


def readme_section(rows: pd.DataFrame, about: dict) -> str:
    """Warnings about the photos, six scores, the model's size and cost, and a link to the page with the rest.

    rows: of results.csv, of which README_SCORES and the worst group of sex are shown.
    """
    keys = rows["target"] + " " + rows["score"]
    whole, worst = rows["group"].fillna("") == "", rows["title"].str.startswith(results.WORST)
    shown = [rows[(keys == score) & whole] for score in README_SCORES] + [rows[worst & (rows["target"] == "sex")]]
    count = len(about["earlier"])
    earlier = f"Earlier models scored on these test faces: {count}. " if count else ""
    link = f"[All results](reports/published/{Path(about['recipe']).stem}/README.md)."
    return "\n\n".join(
        [
            *(f"> {text}" for text in warnings(about)),
            results.as_table(pd.concat(shown)),
            f"{short_cost(about)} {earlier}{link}",
        ]
    )


def warnings(about: dict) -> list[str]:
    """Warnings about the photos, and about test faces that are no longer those of the split."""
    return [*provenance.warnings(about), *([stale] if (stale := about.get("stale", {}).get("split")) else [])]


def short_cost(about: dict) -> str:
    """Parameters, size of the ONNX file, epochs, minutes where known, and what was trained before."""
    cost, threads = about["cost"], about["trained"]["train"]["threads"]
    megabytes = next(iter(cost["files"].values())) / 1e6
    took = f" in {cost['minutes']:.0f} minutes on {threads} threads" if cost["minutes"] else ""
    before = " and ".join(f"{len(cost[kind])} {text}" for kind, text in BEFORE.items() if cost[kind])
    after = f", after {before}" if before else ""
    return f"{about['parameters']:,} parameters, {megabytes:.1f} MB; {cost['epochs']} epochs{took}{after}."


def replaced(text: str, name: str, content: str) -> str:
    """README.md with what is between a model's marks replaced. Raises SystemExit where the marks are missing."""
    start, end = f"<!-- results of {name}: by make publish -->", f"<!-- end of results of {name} -->"
    if start not in text or end not in text:
        raise SystemExit(f"{README} has no lines {start!r} and {end!r}, between which the table goes")
    head, rest = text.split(start, 1)
    return f"{head}{start}\n{content}\n{rest[rest.index(end) :]}"
