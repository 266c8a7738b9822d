"""Tab Learning: the learning curves of a model, and the trials of its hyperparameter search."""

from pathlib import Path

import pandas as pd
import streamlit as st

from app import charts, resources
from app.models import results
from faces.evaluation import gains

PLOTS = {"loss": "loss", "years": "mae", "share": ("accuracy", "score")}  # title: ends of the curves' names


def show() -> None:
    """Show the curves and the trials of one model."""
    known = {name: folder for name, folder in results.folders().items() if (folder / "history.csv").exists()}
    resources.require(known, results.EMPTY)
    name = results.choose(list(known), "learnt")
    history = resources.read_table(known[name] / "history.csv")
    resources.require(len(history), "This model is not trained: its prediction is the same for every face.")
    for column, (title, curves) in zip(st.columns(3), by_unit(list(history)).items(), strict=False):
        table = history.melt("epoch", curves, "curve").dropna()
        table["curve"] = table["curve"].str.removeprefix("val_")
        column.altair_chart(charts.lines(table, "epoch", "value", "curve", "epoch", title), alt=f"{title} by epoch")
    st.subheader("Search")
    trials = read_trials(name, known[name])
    if trials is None:
        st.info("There is no search here: run `dvc repro tune` in a shell.")
    elif not len(trials):
        st.info("The search ran no trial.")
    else:
        st.dataframe(trials, hide_index=True)


def by_unit(names: list[str]) -> dict[str, list[str]]:
    """Columns of history.csv that share a plot, by its title."""
    curves = {title: [name for name in names if name.endswith(ends)] for title, ends in PLOTS.items()}
    return {title: columns for title, columns in curves.items() if columns}


def read_trials(name: str, folder: Path) -> pd.DataFrame | None:
    """One row per trial, with what its score gains over the defaults; None if there is no file of a search."""
    published = name.startswith(results.PUBLISHED)
    path = folder / "trials.csv" if published else Path(f"data/tuned/{name}.json")
    if not path.exists():
        return None
    if published:
        return resources.read_table(path)
    trials = resources.read_json(path)["trials"]
    gained = gains.of_trials(trials, resources.evaluate_params().confidence)
    return pd.DataFrame(
        {"trial": row["trial"], **row["values"], "score": row["score"], **gain}
        for row, gain in zip(trials, gained, strict=True)
    )
