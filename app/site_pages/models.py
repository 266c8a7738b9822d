"""The page Models: results of all models, one tab per topic."""

import streamlit as st

from app import resources
from app.models import (
    example_faces,
    gate,
    groups,
    learning_curves,
    mlflow_tables,
    overview,
    results,
    variants,
)

TABS = {
    "Overview": overview,
    "By age and group": groups,
    "Learning": learning_curves,
    "Variants": variants,
    "Gate": gate,
    "Faces": example_faces,
    "MLflow": mlflow_tables,
}


def main() -> None:
    """Show the tab that the user selects."""
    st.title("Models")
    tab = st.segmented_control("Tab", list(TABS), default="Overview", required=True, label_visibility="collapsed")
    resources.require(tab == "MLflow" or results.folders(), results.EMPTY)
    TABS[tab].show()
