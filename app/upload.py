"""Widgets that ask for a photo, on each page that needs one. Nothing that is slow to import is imported here."""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from faces.data.archives import IMAGE_SUFFIXES

FILE, CAMERA = "File", "Camera"
# A pasted image is handled as a chosen file.
PASTE = """<script>
if (!window.facesPaste) {
  window.facesPaste = true;
  document.addEventListener("paste", (event) => {
    const input = document.querySelector('[data-testid="stFileUploaderDropzoneInput"]');
    const image = [...event.clipboardData.files].find((file) => file.type.startsWith("image/"));
    if (!input || !image) return;
    const carried = new DataTransfer();
    carried.items.add(image);
    input.files = carried.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    event.preventDefault();
  });
}
</script>"""


@dataclass(frozen=True)
class Upload:
    """An uploaded file; key: unique for each file."""

    key: str
    name: str
    content: bytes


def ask() -> Upload | None:
    """Ask for a photo, or take the one that was given on another page."""
    example = example_photo()
    source = st.segmented_control("Source", [FILE, CAMERA], default=FILE, label_visibility="collapsed") or FILE
    if source == CAMERA:
        given = st.camera_input("Take a photo", key="camera", on_change=drop, args=("camera",))
    else:
        given = st.file_uploader(
            "A photo with faces: choose it, drop it here, or paste it",
            [suffix[1:] for suffix in IMAGE_SUFFIXES],
            max_upload_size=st.get_option("server.maxUploadSize"),
            key="upload",
            on_change=drop,
            args=("upload",),
        )
        st.html(PASTE, unsafe_allow_javascript=True)
    kept: Upload | None = st.session_state.get("given")
    if given is not None and (kept is None or kept.key != given.file_id):
        st.session_state["given"] = kept = Upload(given.file_id, given.name, given.getvalue())
    if kept is None and example and st.button("Try it with an example", icon=":material/rocket:"):
        st.session_state["given"] = Upload("example", example.name, example.read_bytes())
        st.rerun()
    if kept is not None and given is None and st.button(f"Remove {plain(kept.name)}", icon=":material/close:"):
        del st.session_state["given"]
        st.rerun()
    return kept


def plain(text: str) -> str:
    """A text, such as a file's name, so that Streamlit shows it as it is, not as Markdown or HTML."""
    return re.sub(r"([^\w\s])", r"\\\1", text)


def drop(widget: str) -> None:
    """Forget the photo if the user removed it from its widget."""
    if st.session_state[widget] is None:
        st.session_state.pop("given", None)


def example_photo() -> Path | None:
    """Portrait of Eileen Collins (NASA, public domain), which scikit-image contains; None if that is not installed."""
    package = importlib.util.find_spec("skimage")
    path = Path(package.submodule_search_locations[0], "data", "astronaut.png") if package else None
    return path if path and path.exists() else None
