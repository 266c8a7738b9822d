"""Entry point of the web app, which `make app` starts: Streamlit runs this file at each visit and each click."""

import importlib
import logging
from collections.abc import Callable

import streamlit as st

from app import access

WIDE = "<style>[data-testid=stMarkdownContainer] table {display: block; overflow-x: auto}</style>"  # wide tables scroll
PAGES = {
    "predict": ":material/face:",
    "why": ":material/visibility:",
    "models": ":material/monitoring:",
    "data": ":material/database:",
}  # modules of app/site_pages, imported when first shown


def main() -> None:
    """Show the page of the address."""
    access.keep_in_memory()
    st.set_page_config(page_title="Faces", page_icon=":material/familiar_face_and_zone:", layout="wide")
    st.html(WIDE)
    if not access.granted():
        st.error("This app needs a token: open the whole address that `make app` printed.")
        return
    st.navigation(
        [
            st.Page(guarded(name), title=name.title(), url_path=name, icon=icon, default=name == "predict")
            for name, icon in PAGES.items()
        ]
    ).run()


def guarded(name: str) -> Callable[[], None]:
    """A page that shows a message if its files are missing or incomplete, as they are during a run."""

    def show() -> None:
        try:
            importlib.import_module(f"app.site_pages.{name}").main()
        except (OSError, ValueError, LookupError, SystemExit) as error:
            logging.getLogger(__name__).exception("%s failed", name)
            st.error(
                f"This page failed ({type(error).__name__}: {error}). If a run is in progress in this folder, its "
                "files are incomplete: reload the page later. Otherwise run `make repro` in a shell."
            )

    return show


main()
