"""Tab Faces: test faces of one model, those with the largest errors or a random sample."""

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from app import face_grid, resources
from app.models import results
from faces import targets

FACES = 24  # in the grid


def show() -> None:
    """Show test faces with their true and predicted labels."""
    names = results.own_models()
    resources.require(names, results.EMPTY)
    name = results.choose(names, "faces_of")
    path = Path(f"data/models/{name}/model.json")
    resources.require(path.exists(), "The images of its faces are not here: run `make repro` in a shell.")
    about, rows = resources.read_json(path), results.read_predictions(name, "test")
    known = [target for target in targets.TARGETS if f"{target}_predicted" in rows and target in rows]
    resources.require(known, "These faces have no labels of what the model predicts.")
    left, right = st.columns(2)
    target = targets.TARGETS[left.segmented_control("Target", known, default=known[0], required=True)]
    order = right.segmented_control("Which", ["Worst", "At random"], default="Worst", required=True)
    rows = face_grid.choose_group(rows, "worst")
    rows = rows.assign(error=errors(rows, target)).dropna(subset="error")
    rows = rows[rows["error"] > 0].nlargest(FACES, "error") if order == "Worst" else rows.sample(min(FACES, len(rows)))
    st.caption("True label → predicted label." if len(rows) else "There is no such face.")
    text = "{:.0f} → {:.0f}" if target.kind == "years" else "{} → {}"
    labels = zip(rows[target.name], rows[f"{target.name}_predicted"], strict=True)
    face_grid.show(about["dataset"], about["variant"], rows, [text.format(*pair) for pair in labels])


def errors(rows: pd.DataFrame, target: targets.Target) -> pd.Series:
    """Error of each row of predictions.csv, NaN where unlabelled.

    Years: the absolute error. Classes: 1 minus the probability of the true class, or 0 if the prediction is right.
    """
    true, predicted = rows[target.name], rows[f"{target.name}_predicted"]
    if target.kind == "years":
        return (predicted - true).abs()
    probabilities = [rows[f"{target.name}_p_{name}"] for name in target.classes]
    error = 1 - np.select([true == name for name in target.classes], probabilities, np.nan)
    return pd.Series(np.where(true == predicted, 0, error), rows.index).where(true != "")
