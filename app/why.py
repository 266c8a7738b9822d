"""The page why."""

import streamlit as st


def main() -> None:
    """Show it."""
    st.title("why")
