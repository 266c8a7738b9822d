"""Tab MLflow: registered versions and runs of MLflow's store, with links to its UI."""

import pandas as pd
import streamlit as st

from app import resources
from faces import scores

UI = "http://127.0.0.1:5000"
EMPTY = (
    "MLflow's store is empty: `make repro` in a shell trains, logs and registers models. Until a champion is "
    "registered, the app predicts with the shipped model (`pretrained/`)."
)


def show() -> None:
    """Show registered versions and runs."""
    from faces.tracking import model_choice, store

    resources.require(model_choice.has_store(), EMPTY)
    links = ", ".join(f"[{name}]({UI}/{page})" for name, page in store.ui_pages().items())
    st.markdown(f"`make ui` in a shell starts the MLflow UI on this machine: {links}.")
    versions, runs = read_store()
    resources.require(len(runs), "MLflow's store has no runs.")
    links = {"link": st.column_config.LinkColumn("in the UI", display_text="open")}
    st.subheader("Registered versions")
    st.dataframe(versions, hide_index=True, column_config=links)
    st.subheader("Runs")
    experiments = sorted(runs["experiment"].unique())
    chosen = st.segmented_control("Experiment", experiments, selection_mode="multi", default=experiments)
    rows = runs[runs["experiment"].isin(chosen)].dropna(axis=1, how="all")
    st.dataframe(rows, hide_index=True, column_config=links)


@st.cache_data(ttl=resources.CACHE_SECONDS, show_spinner="Reading MLflow's store ...")
def read_store() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of registered versions and of runs, with links to the UI."""
    from faces.tracking import registry, runs, store

    client = store.open_client()
    versions = pd.DataFrame(
        {
            "model": version.name,
            "version": int(version.version),
            "alias": ", ".join(version.aliases),
            "row of params.yaml": version.tags.get("model", ""),
            version.tags.get("score", "score") + " on validation": float(version.tags.get("val", "nan")),
            **{
                f"test {score}": float(version.tags[f"test_{score}"])
                for score in scores.keys("metrics")
                if f"test_{score}" in version.tags
            },
            "link": f"{UI}/#/models/{version.name}/versions/{version.version}",
        }
        for version in registry.versions(client)
    )
    rows = runs.newest(client)
    rows["link"] = [f"{UI}/#/experiments/{row.experiment_id}/runs/{row.run_id}" for row in rows.itertuples()]
    return versions, rows.drop(columns=["experiment_id", "run_id"], errors="ignore")
