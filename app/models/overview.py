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
    if not path.exists():
        st.info(results.EMPTY)
        return
    st.subheader("The last run in this folder")
    resources.show_warnings()
    st.dataframe(resources.read_table(str(path)), hide_index=True)
    st.subheader("Scores by part")
    st.caption("A model that is much better on train than on test overfits.")
    names = results.own_models()
    if not names:
        st.info(results.EMPTY)
        return
    name = st.selectbox("Model", names, key="parts")
    scores = resources.read_json(f"reports/models/{name}/metrics.json")
    st.dataframe(pd.DataFrame(scores).rename_axis("score").reset_index(), hide_index=True, height=460)


def show_published(name: str, folder: Path) -> None:
    """Show the headline scores of a published model, and its other tables on request."""
    st.markdown(f"**{name}**, on test faces that no choice was based on; see `{folder}/README.md` for the method.")
    st.dataframe(headlines(resources.read_table(f"{folder}/results.csv")), hide_index=True)
    for file, title in PUBLISHED_TABLES:
        if (folder / file).exists():
            with st.expander(title):
                st.dataframe(resources.read_table(f"{folder}/{file}"), hide_index=True)


def headlines(table: pd.DataFrame) -> pd.DataFrame:
    """Headline rows of a results.csv with their intervals."""
    rows = table[table["headline"] & (table["group"] == "")]
    return pd.DataFrame(
        {
            "score": rows["title"],
            "test faces": rows["n"],
            "value": rows["value"].round(4),
            "low": rows["low"].round(4),
            "high": rows["high"].round(4),
        }
    )
