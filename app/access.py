"""Who may see the app, by a token where it was started with one, and what the server keeps of uploads."""

import hmac
import os

import streamlit as st
from starlette.formparsers import MultiPartParser

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


def keep_in_memory() -> None:
    """Let the server hold what is uploaded in memory, whatever its size; it would write what is above 1 MiB to disk."""
    MultiPartParser.spool_max_size = 2 * 2**20 * st.get_option("server.maxUploadSize")
