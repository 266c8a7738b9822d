"""Access to the app by a token, if it was started with one, and the memory for uploads."""

import asyncio
import hmac
import os
import re

import streamlit as st
from starlette.formparsers import MultiPartParser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.runtime.scriptrunner import get_script_run_ctx

TOKEN = "FACES_TOKEN"  # environment variable
UPLOADS = re.compile(r"/_stcore/upload_file/([^/]+)/")
AT_ONCE = 4  # uploads that are received at the same time; others wait
sessions_with_token: set[str] = set()


def granted() -> bool:
    """Whether the app has no token, or this session gave it once, as ?token= in its address."""
    token = os.environ.get(TOKEN, "")
    if token and not st.session_state.get("granted"):
        st.session_state["granted"] = hmac.compare_digest(st.query_params.get("token", "").encode(), token.encode())
    if token and st.session_state["granted"]:
        if context := get_script_run_ctx():
            sessions_with_token.add(context.session_id)
        st.query_params["token"] = token  # a change of pages drops it, and a phone that reconnects needs it
    return not token or st.session_state["granted"]


class LimitedUploads:
    """Middleware that takes uploads from sessions with the token only, if there is one, and few at the same time."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.turns = app, asyncio.Semaphore(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, in its turn if it is an upload, or refuse it by status 403."""
        upload = UPLOADS.match(scope["path"]) if scope["type"] == "http" and scope["method"] == "PUT" else None
        if upload is None:
            await self.app(scope, receive, send)
        elif os.environ.get(TOKEN) and upload[1] not in sessions_with_token:
            await PlainTextResponse("This app needs a token\n", 403)(scope, receive, send)
        else:
            async with self.turns:
                await self.app(scope, receive, send)


def keep_in_memory() -> None:
    """Make the server keep uploads of any size in memory; by default it writes those above 1 MiB to disk."""
    MultiPartParser.spool_max_size = 2 * 2**20 * st.get_option("server.maxUploadSize")
