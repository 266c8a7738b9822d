"""The page Predict, which comes first: it asks for a photo before what answers is imported, which takes a while."""

import streamlit as st

from app import upload


def main() -> None:
    """Ask for a photo and a model, tell what the model says."""
    st.title("Predict")
    left, right = st.columns([3, 2])
    with left:
        given = upload.ask()
    from app import predict_results

    predict_results.show(given, left, right)
