"""The results of a published model in README.md."""

from pathlib import Path

import pandas as pd

from commands.publish import page, results
from faces.data import provenance

PATH = Path("README.md")


def section(rows: pd.DataFrame, about: dict) -> str:
    """Warnings about the photos, the headline scores, and the model's size and cost; rows of results.csv."""
    again = f"Not the first look at these test faces: models published before this one: {len(about['earlier'])}."
    return "\n\n".join(
        [
            *(f"> {text}" for text in provenance.warnings(about)),
            results.markdown(rows[rows["headline"]]),
            page.size_and_cost(about),
            *([again] if about["earlier"] else []),
        ]
    )


def replaced(text: str, name: str, content: str) -> str:
    """README.md with what is between a model's marks replaced. Raises SystemExit where the marks are missing."""
    start, end = f"<!-- results of {name}: by make publish -->", f"<!-- end of results of {name} -->"
    if start not in text or end not in text:
        raise SystemExit(f"{PATH} has no lines {start!r} and {end!r}, between which the table goes")
    head, rest = text.split(start, 1)
    return f"{head}{start}\n{content}\n{rest[rest.index(end) :]}"
