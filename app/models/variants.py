"""Tab Variants: two variants or starts of a model compared on the same faces."""

from pathlib import Path

import pandas as pd
import streamlit as st

from app import charts, resources
from faces.evaluation import score_tables


def show() -> None:
    """Show each comparison of two variants, or of a start from another model and one from new weights."""
    paths = sorted(Path("reports/comparison").glob("*_against_*.csv"))
    resources.require(paths, "No two models differ only in their variant or start: see `models` in params.yaml.")
    resources.show_warnings()
    for path in paths:
        first, second = path.stem.split("_against_")
        table = resources.read_table(path)
        for name, rows in table.groupby(score_tables.pair_names(table, first)):
            st.subheader(f"{name}: {first} against {second}")
            show_differences(rows, first, second)


def show_differences(rows: pd.DataFrame, first: str, second: str) -> None:
    """Show differences of scores; rows: of FIRST_against_SECOND.csv, of one dataset."""
    st.caption(
        f"Paired on the same test faces: {first} minus {second}. Above 0, errors (MAE, RMSE) of {first} are larger; "
        "below 0, its accuracies are lower."
    )
    years = rows["score"].str.contains("MAE|RMSE")
    for column, part, unit in zip(st.columns(2), (rows[years], rows[~years]), ("years", "share"), strict=True):
        title = f"{first} minus {second}, {unit}"
        chart = charts.intervals(part.rename(columns={"difference": "value"}), "score", title, zero=True)
        column.altair_chart(chart, alt=title)
    st.dataframe(rows.round(4), hide_index=True)
