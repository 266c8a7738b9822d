"""Tab Gate: the last result of the regression gate."""

from pathlib import Path

import streamlit as st

from app import charts, resources
from faces import targets
from faces.gate import decisions

PASSED = (decisions.UNCHANGED, decisions.IMPROVED)


def show() -> None:
    """Show the verdict on each model, then the differences from the baseline."""
    resources.require(
        Path("reports/gate/table.md").exists(), "There is no gate result yet: run `make gate` in a shell."
    )
    for baseline, result in resources.read_json("reports/gate/verdict.json").items():
        for model, row in result["models"].items():
            show_message = st.error if row["reasons"] else st.success if row["verdict"] in PASSED else st.info
            show_message("\n- ".join([f"{baseline}, {model}: {row['verdict']}", *row["reasons"]]))
    compared = resources.read_table("reports/gate/comparisons.csv")
    if not len(compared):
        return
    model = st.selectbox("Model", list(compared["model"].unique()), key="judged")
    names = list(compared["target"].unique())
    target = st.segmented_control("Target", names, default=names[0], required=True)
    rows = compared[(compared["model"] == model) & (compared["target"] == target)]
    unit = "years of MAE" if targets.TARGETS[target].kind == "years" else "accuracy"
    chart = charts.intervals(
        rows.rename(columns={"difference": "value"}), "slice", f"now minus baseline, {unit}", "verdict", zero=True
    )
    st.altair_chart(chart, alt=f"Now minus baseline in each group, {unit}")
    st.dataframe(rows.round(4), hide_index=True)
