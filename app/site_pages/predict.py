"""The page Predict, the first one. It asks for a photo before the slow imports that prediction needs."""

import streamlit as st

from app import upload


def main() -> None:
    """Ask for a photo and a model, and show the predictions."""
    st.title("Predict")
    left, right = st.columns([3, 2])
    with left:
        uploaded = upload.ask()
    from app import predict_results

    predict_results.show(uploaded, left, right)
