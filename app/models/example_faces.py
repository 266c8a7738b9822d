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
    if not names:
        st.info(results.EMPTY)
        return
    name = results.choose(names, "faces_of")
    path = Path(f"data/models/{name}/model.json")
    if not path.exists():
        st.info("The images of its faces are not here: run `make repro` in a shell.")
        return
    about = resources.read_json(str(path))
    rows = results.read_predictions(name, "test")
    known = [target for target in targets.TARGETS if f"{target}_predicted" in rows and target in rows]
    if not known:
        return
    left, right = st.columns(2)
    target = targets.TARGETS[left.segmented_control("Target", known, default=known[0], required=True)]
    order = right.segmented_control("Which", ["Worst", "At random"], default="Worst", required=True)
    rows = face_grid.choose_group(rows, "worst")
    rows = rows.assign(error=errors(rows, target)).dropna(subset="error")
    rows = rows[rows["error"] > 0].nlargest(FACES, "error") if order == "Worst" else rows.sample(min(FACES, len(rows)))
    st.caption("True label → predicted label." if len(rows) else "There is no such face.")
    captions = [caption(row, target) for _, row in rows.iterrows()]
    face_grid.show(about["dataset"], about["variant"], rows, captions)


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


def caption(row: pd.Series, target: targets.Target) -> str:
    """True and predicted label of a face."""
    true, predicted = row[target.name], row[f"{target.name}_predicted"]
    return f"{true:.0f} → {predicted:.0f}" if target.kind == "years" else f"{true} → {predicted}"
