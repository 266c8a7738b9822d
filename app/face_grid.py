"""Packed faces of the last run as pages show them: pictures in grids, and who they are."""

import numpy as np
import pandas as pd
import streamlit as st

from app import resources
from faces import targets

WIDTH = 104  # pixels: a face's in a grid


def grid(dataset: str, variant: str, rows: pd.DataFrame, captions: list[str]) -> None:
    """Pictures of faces, by face_id, each with a line below; those that the pack lacks are passed over."""
    pack = resources.pack(dataset, variant)
    if pack is None:
        st.info("Their pictures are not here: `make repro` in a shell makes them.")
        return
    at = pack.rows(rows["face_id"])
    there = np.flatnonzero(at >= 0)
    images = pack.images(at[there])
    with st.container(horizontal=True, gap="small"):
        for i, image in zip(there, images, strict=True):
            st.image(image, captions[i], width=WIDTH, alt=f"Face: {captions[i]}")


def labels(row: pd.Series) -> str:
    """What a face's labels say, in a line."""
    words = []
    for name, target in targets.TARGETS.items():
        if target.kind == "years":
            words.append(f"{row[name]:.0f}" if row[name] == row[name] else "age?")
        elif row.get(name):
            words.append(row[name])
    return ", ".join(words)


def only(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Rows of the group that a visitor picks by age and classes; key: of the widgets."""
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
