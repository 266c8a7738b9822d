"""A visitor's photo, asked for: the widgets that give it, on every page that wants one; no import here is slow."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from faces.data.archives import PICTURES

FILE, CAMERA = "File", "Camera"
# What is pasted anywhere on the page goes the way of a chosen file.
PASTE = """<script>
if (!window.facesPaste) {
  window.facesPaste = true;
  document.addEventListener("paste", (event) => {
    const input = document.querySelector('[data-testid="stFileUploaderDropzoneInput"]');
    const picture = [...event.clipboardData.files].find((file) => file.type.startsWith("image/"));
    if (!input || !picture) return;
    const carried = new DataTransfer();
    carried.items.add(picture);
    input.files = carried.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    event.preventDefault();
  });
}
</script>"""


@dataclass(frozen=True)
class Upload:
    """A file as it was given; key: another for another file."""

    key: str
    name: str
    content: bytes


def ask() -> Upload | None:
    """Ask for a photo; the one that was given on another page counts."""
    example = example_photo()
    way = st.segmented_control("Take it from", [FILE, CAMERA], default=FILE, label_visibility="collapsed") or FILE
    if way == CAMERA:
        given = st.camera_input("Take a photo", key="camera", on_change=drop, args=("camera",))
    else:
        given = st.file_uploader(
            "A photo with faces: choose it, drop it here, or paste it",
            [suffix[1:] for suffix in PICTURES],
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
    if kept is not None and given is None and st.button(f"Remove {kept.name}", icon=":material/close:"):
        del st.session_state["given"]
        st.rerun()
    return kept


def drop(widget: str) -> None:
    """Forget the photo where a visitor took it out of the widget that it came by."""
    if st.session_state[widget] is None:
        st.session_state.pop("given", None)


def example_photo() -> Path | None:
    """Portrait of Eileen Collins, by NASA and in the public domain, which comes with scikit-image; None without it."""
    package = importlib.util.find_spec("skimage")
    found = Path(package.submodule_search_locations[0], "data", "astronaut.png") if package else None
    return found if found and found.exists() else None
