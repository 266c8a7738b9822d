"""Access to the app by a token, if it was started with one, and the memory for uploads."""

import hmac
import os

import streamlit as st
from starlette.formparsers import MultiPartParser

TOKEN = "FACES_TOKEN"  # environment variable


def granted() -> bool:
    """Whether the app has no token, or this session gave it once, as ?token= in its address."""
    token = os.environ.get(TOKEN, "")
    if token and not st.session_state.get("granted"):
        st.session_state["granted"] = hmac.compare_digest(st.query_params.get("token", "").encode(), token.encode())
    if token and st.session_state["granted"]:
        st.query_params["token"] = token  # a change of pages drops it, and a phone that reconnects needs it
    return not token or st.session_state["granted"]


def keep_in_memory() -> None:
    """Make the server keep uploads of any size in memory; by default it writes those above 1 MiB to disk."""
    MultiPartParser.spool_max_size = 2 * 2**20 * st.get_option("server.maxUploadSize")
