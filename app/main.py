"""The web app, as `make app` starts it: Streamlit runs this file for each visit, and again at each click."""

import streamlit as st

from app import access, data, models, predict, why

WIDE = "<style>[data-testid=stMarkdownContainer] table {display: block; overflow-x: auto}</style>"  # else phones cut it


def main() -> None:
    """Show the page that was asked for."""
    st.set_page_config(page_title="Faces", page_icon=":material/familiar_face_and_zone:", layout="wide")
    st.html(WIDE)
    if not access.granted():
        st.error("This app is open to those who have its token: use the whole address that `make app` printed.")
        return
    st.navigation(
        [
            st.Page(predict.main, title="Predict", url_path="predict", icon=":material/face:", default=True),
            st.Page(why.main, title="Why", url_path="why", icon=":material/visibility:"),
            st.Page(models.main, title="Models", url_path="models", icon=":material/monitoring:"),
            st.Page(data.main, title="Data", url_path="data", icon=":material/database:"),
        ]
    ).run()


main()
