"""Who may see the app: everybody who reaches it, unless it was started with a token."""

import hmac
import os

import streamlit as st

TOKEN = "FACES_TOKEN"  # variable of the environment


def granted() -> bool:
    """Whether this visit gave the token, by ?token= in its address, once."""
    wanted = os.environ.get(TOKEN, "")
    if wanted and not st.session_state.get("granted"):
        given = st.query_params.get("token", "")
        st.session_state["granted"] = hmac.compare_digest(given.encode(), wanted.encode())
    if wanted and st.session_state["granted"]:
        st.query_params["token"] = wanted  # which a change of pages drops, and a phone that wakes up needs
    return not wanted or st.session_state["granted"]
