"""A visitor's photo, for all pages: asked for, decoded, its faces found; in memory, and for this visit alone."""

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from app import opened
from app.colours import RED
from stages.lib import finding, photos, pictures
from stages.lib.datasets.table import PICTURES
from stages.lib.finding import Face
from stages.lib.pictures import PictureError
from stages.lib.predictor import Predictor

SHOWN = 1200  # pixels: the longer side of a photo as it is shown
FILE, CAMERA = "File", "Camera"
NONE = (
    "No face was found. Is it upright, and large enough? A lower least score (Settings) finds more; a picture that is "
    "one face needs 'It is cropped'."
)
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


@dataclass
class Photo:
    """A photo that was given: image, RGB and upright; found: {least score: faces}; note: what was left of it."""

    key: str
    name: str
    image: Image.Image
    note: str = ""
    found: dict[float, list[Face]] = field(default_factory=dict)

    def faces(self, predictor: Predictor, cropped: bool, least: float) -> tuple[list[tuple], list[np.ndarray]]:
        """Places and what the network sees, as photos.faces; cropped: the photo is one face, which has no place."""
        if cropped:
            return [()], [predictor.look(self.image)]
        if photos.framing(predictor) is not None and least not in self.found:
            self.found = {least: opened.finder().find(self.image, least)}
        return photos.cut(self.image, self.found.get(least, []), predictor)


def ask() -> Photo | None:
    """Ask for a photo, or tell why it cannot be used; the one that was given on another page counts."""
    example = example_photo()
    way = st.segmented_control("Take it from", [FILE, CAMERA], default=FILE, label_visibility="collapsed") or FILE
    if way == CAMERA:
        given = st.camera_input("Take a photo", key="camera", on_change=drop, args=("camera",))
    else:
        given = st.file_uploader(
            "A photo with faces: choose it, drop it here, or paste it",
            [kind[1:] for kind in PICTURES],
            max_upload_size=st.get_option("server.maxUploadSize"),
            key="upload",
            on_change=drop,
            args=("upload",),
        )
        st.html(PASTE, unsafe_allow_javascript=True)
    kept: Photo | None = st.session_state.get("photo")
    if given is not None and (kept is None or kept.key != given.file_id):
        kept = opened_photo(given.file_id, given.name, given.getvalue())
        st.session_state["photo"] = kept
    if kept is None and given is None and example and st.button("Try it with an example", icon=":material/rocket:"):
        kept = opened_photo("example", example.name, example.read_bytes())
        st.session_state["photo"] = kept
        st.rerun()
    if kept is not None and given is None and st.button(f"Remove {kept.name}", icon=":material/close:"):
        del st.session_state["photo"]
        st.rerun()
    if kept is not None and kept.note:
        st.info(kept.note)
    return kept


def drop(widget: str) -> None:
    """Forget the photo where a visitor took it out of the widget that it came by."""
    if st.session_state[widget] is None:
        st.session_state.pop("photo", None)


def opened_photo(key: str, name: str, content: bytes) -> Photo | None:
    """Decode a photo; None, with the reason shown, where that cannot be done."""
    try:
        image = pictures.decode(content)
    except PictureError as error:
        st.error(f"{name} {error}" if str(error).startswith(("is ", "cannot ")) else f"{name}: {error}")
        return None
    frames = pictures.frames(content)
    return Photo(key, name, image, f"Of its {frames} pictures, the first is looked at." if frames > 1 else "")


def example_photo() -> Path | None:
    """Portrait of Eileen Collins, by NASA and in the public domain, which comes with scikit-image; None without it."""
    package = importlib.util.find_spec("skimage")
    found = Path(package.submodule_search_locations[0], "data", "astronaut.png") if package else None
    return found if found and found.exists() else None


def boxed(image: Image.Image, places: list[tuple]) -> Image.Image:
    """A copy of a photo, small enough to be shown, with its faces framed and numbered from 1."""
    scale = min(1.0, SHOWN / max(image.size))
    size = [max(1, round(side * scale)) for side in image.size]
    shown = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.0)
    draw = ImageDraw.Draw(shown)
    width = max(2, round(max(shown.size) / 150))
    font = ImageFont.load_default(max(12, round(max(shown.size) / 35)))
    for number, (left, top, right, bottom, _) in enumerate(places, 1):
        box = [end * scale for end in (left, top, right, bottom)]
        draw.rectangle(box, outline=RED, width=width)
        ends = draw.textbbox((box[0], box[1]), f" {number} ", font=font)
        draw.rectangle(ends, fill=RED)
        draw.text((box[0], box[1]), f" {number} ", fill="white", font=font)
    return shown


def settings() -> tuple[bool, float]:
    """Whether the photo is one face that is cut out already, and the score from which a finding is a face."""
    cropped = st.toggle("It is cropped: one face, framed as in UTKFace", key="cropped")
    least = st.slider(
        "Least score of a face",
        0.1,
        0.9,
        finding.LEAST,
        0.05,
        disabled=cropped,
        key="least",
        help="Lower finds more faces, and more that are none.",
    )
    return cropped, least
