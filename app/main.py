"""The web app, as `make app` starts it: Streamlit runs this file for each visit, and again at each click."""

import importlib
import logging
from collections.abc import Callable

import streamlit as st

from app import access

WIDE = "<style>[data-testid=stMarkdownContainer] table {display: block; overflow-x: auto}</style>"  # else phones cut it
PAGES = {
    "predict": ":material/face:",
    "why": ":material/visibility:",
    "models": ":material/monitoring:",
    "data": ":material/database:",
}  # each a module of app/pages, imported when it is opened


def main() -> None:
    """Show the page that was asked for."""
    access.keep_in_memory()
    st.set_page_config(page_title="Faces", page_icon=":material/familiar_face_and_zone:", layout="wide")
    st.html(WIDE)
    if not access.granted():
        st.error("This app is open to those who have its token: use the whole address that `make app` printed.")
        return
    pages = [
        st.Page(shielded(name), title=name.title(), url_path=name, icon=icon, default=name == "predict")
        for name, icon in PAGES.items()
    ]
    st.navigation(pages).run()


def shielded(name: str) -> Callable[[], None]:
    """A page that says so where a run takes its files away, or is just writing them."""

    def shown() -> None:
        try:
            importlib.import_module(f"app.pages.{name}").main()
        except (OSError, ValueError, LookupError, SystemExit) as error:
            logging.getLogger(__name__).exception("%s failed", name)
            st.error(
                f"This cannot be shown ({type(error).__name__}: {error}). Where a run is at work in this folder, its "
                "files are being written: reload the page in a while. Else `make repro` in a shell makes them anew."
            )

    return shown


main()
