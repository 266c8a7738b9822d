"""Tab By age and group: scores of groups with intervals, and plots of single predictions."""

from pathlib import Path

import pandas as pd
import streamlit as st

from app import charts, resources
from app.models import prediction_plots, results
from faces.evaluation.predictions import ALL

PARTS = ["test", "val", "calibration"]


def show() -> None:
    """Show the scores of one model by group, then its predictions for one part."""
    known = results.folders()
    name = results.choose(list(known), "groups_of")
    published = name.startswith(results.PUBLISHED)
    path = known[name] / "groups.csv" if published else Path("reports/models", name, "subgroups.csv")
    if path.exists():
        show_groups(resources.read_table(str(path)))
    if published:
        st.caption("Predictions of single faces are not published.")
        return
    part = st.segmented_control("Part", PARTS, default="test", required=True)
    predicted = results.read_predictions(name, part)
    if len(predicted):
        prediction_plots.show(predicted, part)


def show_groups(table: pd.DataFrame) -> None:
    """Plot one score of all groups of a kind, both selected by the user; table: rows of groups.csv."""
    left, right = st.columns(2)
    scores = {f"{target} {score}": (target, score) for target, score in table[["target", "score"]].to_numpy()}
    title = left.selectbox("Score", list(scores))
    by = right.selectbox("Groups", [by for by in table["by"].unique() if isinstance(by, str) and by])
    target, score = scores[title]
    rows = table[(table["target"] == target) & (table["score"] == score)]
    rows = rows[(rows["by"] == by) | (rows["group"] == ALL)]
    few = rows["value"].isna()
    st.altair_chart(charts.intervals(rows[~few], "group", title), alt=f"{title} by {by}, test faces, with intervals")
    if few.any():
        sizes = ", ".join(f"{group} ({int(n)})" for group, n in rows.loc[few, ["group", "n"]].to_numpy())
        st.caption(f"Too few test faces for a score: {sizes}.")
