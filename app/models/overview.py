"""Tab Overview: all models in one table, and the scores of one model in each part."""

from pathlib import Path

import pandas as pd
import streamlit as st

from app import resources
from app.models import results

PUBLISHED_TABLES = (  # file, title
    ("peers.csv", "Other networks, trained by the same stages with a small budget"),
    ("levers.csv", "Ablations: one change at a time, on the validation split"),
)


def show() -> None:
    """Show published results, then those of the last run."""
    st.subheader("Published")
    for name, folder in results.folders().items():
        if name.startswith(results.PUBLISHED):
            show_published(name.removeprefix(results.PUBLISHED), folder)
    path = Path("reports/comparison/models.csv")
    resources.require(path.exists(), results.EMPTY)
    st.subheader("The last run in this folder")
    resources.show_warnings()
    st.dataframe(resources.read_table(path), hide_index=True)
    st.subheader("Scores by part")
    st.caption("A model that is much better on train than on test overfits.")
    name = st.selectbox("Model", results.own_models(), key="parts")
    scores = resources.read_json(f"reports/models/{name}/metrics.json")
    st.dataframe(pd.DataFrame(scores).rename_axis("score").reset_index(), hide_index=True, height=460)


def show_published(name: str, folder: Path) -> None:
    """Show the headline scores of a published model, and its other tables on request."""
    st.markdown(f"**{name}**, on test faces that no choice was based on; see `{folder}/README.md` for the method.")
    rows = resources.read_table(folder / "results.csv").query("headline and group == ''").round(4)
    rows = rows[["title", "n", "value", "low", "high"]].rename(columns={"title": "score", "n": "test faces"})
    st.dataframe(rows, hide_index=True)
    for file, title in PUBLISHED_TABLES:
        if (folder / file).exists():
            with st.expander(title):
                st.dataframe(resources.read_table(f"{folder}/{file}"), hide_index=True)
