"""Packed faces of the last run: a grid of images, their labels, and the choice of a group."""

import numpy as np
import pandas as pd
import streamlit as st

from app import resources
from faces import targets

WIDTH = 104  # pixels: of one face
NO_IMAGES = "The images are not here: run `make repro` in a shell."


def show(dataset: str, variant: str, rows: pd.DataFrame, captions: list[str]) -> None:
    """Show faces, by face_id, with their captions; faces that the pack lacks are skipped."""
    pack = resources.pack(dataset, variant)
    resources.require(pack, NO_IMAGES)
    at = pack.rows(rows["face_id"])
    packed = np.flatnonzero(at >= 0)
    images = pack.images(at[packed])
    with st.container(horizontal=True, gap="small"):
        for i, image in zip(packed, images, strict=True):
            st.image(image, captions[i], width=WIDTH, alt=f"Face: {captions[i]}")


def seed(key: str, changes: bool) -> int:
    """Seed of a random choice, the same until it is changed; key: of the session's state."""
    st.session_state[key] = st.session_state.get(key, 0) + changes
    return st.session_state[key]


def label_text(row: pd.Series) -> str:
    """Labels of a face in one line."""
    words = [
        row.get(name) if target.kind == "classes" else f"{row[name]:.0f}" if row[name] == row[name] else "age?"
        for name, target in targets.TARGETS.items()
    ]
    return ", ".join(filter(None, words))


def choose_group(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Rows of the ages and classes that the user selects; key: prefix of the widgets' keys."""
    for column, (name, target) in zip(st.columns(len(targets.TARGETS)), targets.TARGETS.items(), strict=True):
        if name not in rows or (rows[name].replace("", np.nan).isna()).all():
            continue
        if target.kind == "years":
            ends = (0, target.units - 1)
            chosen = column.slider(f"{name}, years", *ends, ends, key=f"{key}_{name}")
            rows = rows[rows[name].between(*chosen)] if chosen != ends else rows
        else:
            chosen = column.multiselect(name, target.classes, key=f"{key}_{name}", placeholder="all")
            rows = rows[rows[name].isin(chosen)] if chosen else rows
    return rows
