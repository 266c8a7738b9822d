"""The web app's server: Streamlit, with limits on uploads, of which all stay in memory."""

import streamlit as st
from starlette.middleware import Middleware

from app import access

app = st.App("main.py", middleware=[Middleware(access.LimitedUploads)])
