"""Results of evaluated models: where they are, the choice of one, and its predictions."""

from pathlib import Path

import pandas as pd
import streamlit as st

from app import resources
from faces.evaluation import predictions

PUBLISHED = "published: "  # prefix of the name of a published result
EMPTY = "No model has been evaluated here yet: run `make repro` in a shell."


def folders() -> dict[str, Path]:
    """Folders of results by model, published results last."""
    own = sorted(Path("reports/models").glob("*/metrics.json"))
    published = sorted(Path("reports/published").glob("*/results.csv"))
    return {path.parent.name: path.parent for path in own} | {
        f"{PUBLISHED}{path.parent.name}": path.parent for path in published
    }


def own_models() -> list[str]:
    """Names of the models that were evaluated in this folder."""
    return [name for name in folders() if not name.startswith(PUBLISHED)]


def choose(names: list[str], key: str) -> str:
    """Model that the user selects; warnings of the last run are shown unless its result is published."""
    name = st.selectbox("Model", names, key=key)
    if not name.startswith(PUBLISHED):
        resources.show_warnings()
    return name


def read_predictions(name: str, part: str) -> pd.DataFrame:
    """Rows of a part of predictions.csv; if the file is missing, a message is shown and the page ends."""
    path = predictions.FOLDER / name / "predictions.csv"
    resources.require(path.exists(), "Predictions of single faces are not in git: run `make repro` in a shell.")
    return predictions.read(name, part)
