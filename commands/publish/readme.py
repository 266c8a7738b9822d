"""The results of a published model in README.md."""

from pathlib import Path

import pandas as pd

from commands.publish import results
from faces.data import provenance

PATH = Path("README.md")
SCORES = ("age mae", "age rmse", "sex accuracy", "ethnicity accuracy", "age coverage")  # of all test faces
BEFORE = {"teachers": "trained teachers", "trials": "short trainings of a search"}  # keys of the cost, as text


def section(rows: pd.DataFrame, about: dict) -> str:
    """Warnings about the photos, six scores, the model's size and cost, and a link to the page with the rest.

    rows: of results.csv, of which SCORES and the worst group of sex are shown.
    """
    keys = rows["target"] + " " + rows["score"]
    whole, worst = rows["group"].fillna("") == "", rows["title"].str.startswith(results.WORST)
    shown = [rows[(keys == score) & whole] for score in SCORES] + [rows[worst & (rows["target"] == "sex")]]
    return "\n\n".join(
        [
            *(f"> {text}" for text in provenance.warnings(about)),
            results.as_table(pd.concat(shown)),
            f"{size_and_cost(about)} {earlier(len(about['earlier']))}"
            f"[All results](reports/published/{Path(about['recipe']).stem}/README.md).",
        ]
    )


def size_and_cost(about: dict) -> str:
    """Parameters, size of the ONNX file, epochs, minutes where known, and what was trained before."""
    cost, threads = about["cost"], about["trained"]["train"]["threads"]
    megabytes = next(iter(cost["files"].values())) / 1e6
    took = f" in {cost['minutes']:.0f} minutes on {threads} threads" if cost["minutes"] else ""
    before = [f"{len(cost[kind])} {text}" for kind, text in BEFORE.items() if cost[kind]]
    after = f", after {' and '.join(before)}" if before else ""
    return f"{about['parameters']:,} parameters, {megabytes:.1f} MB; {cost['epochs']} epochs{took}{after}."


def earlier(count: int) -> str:
    """How many models published before were scored on the same test faces; '' if none."""
    return f"Earlier models scored on these test faces: {count}. " if count else ""


def replaced(text: str, name: str, content: str) -> str:
    """README.md with what is between a model's marks replaced. Raises SystemExit where the marks are missing."""
    start, end = f"<!-- results of {name}: by make publish -->", f"<!-- end of results of {name} -->"
    if start not in text or end not in text:
        raise SystemExit(f"{PATH} has no lines {start!r} and {end!r}, between which the table goes")
    head, rest = text.split(start, 1)
    return f"{head}{start}\n{content}\n{rest[rest.index(end) :]}"
