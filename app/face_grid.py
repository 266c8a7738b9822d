"""Packed faces of the last run: a grid of images, their labels, and the choice of a group."""

import numpy as np
import pandas as pd
import streamlit as st

from app import resources
from faces import targets

WIDTH = 104  # pixels: of one face


def show(dataset: str, variant: str, rows: pd.DataFrame, captions: list[str]) -> None:
    """Show faces, by face_id, with their captions; faces that the pack lacks are skipped."""
    pack = resources.pack(dataset, variant)
    if pack is None:
        st.info("The images are not here: run `make repro` in a shell.")
        return
    at = pack.rows(rows["face_id"])
    packed = np.flatnonzero(at >= 0)
    images = pack.images(at[packed])
    with st.container(horizontal=True, gap="small"):
        for i, image in zip(packed, images, strict=True):
            st.image(image, captions[i], width=WIDTH, alt=f"Face: {captions[i]}")


def label_text(row: pd.Series) -> str:
    """Labels of a face in one line."""
    words = []
    for name, target in targets.TARGETS.items():
        if target.kind == "years":
            words.append(f"{row[name]:.0f}" if row[name] == row[name] else "age?")
        elif row.get(name):
            words.append(row[name])
    return ", ".join(words)


def choose_group(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Rows of the ages and classes that the user selects; key: prefix of the widgets' keys."""
    for column, (name, target) in zip(st.columns(len(targets.TARGETS)), targets.TARGETS.items(), strict=True):
        if name not in rows or (rows[name].replace("", np.nan).isna()).all():
            continue
        if target.kind == "years":
            low, high = column.slider(f"{name}, years", 0, target.units - 1, (0, target.units - 1), key=f"{key}_{name}")
            if (low, high) != (0, target.units - 1):
                rows = rows[rows[name].between(low, high)]
        else:
            chosen = column.multiselect(name, target.classes, key=f"{key}_{name}", placeholder="all")
            rows = rows[rows[name].isin(chosen)] if chosen else rows
    return rows
