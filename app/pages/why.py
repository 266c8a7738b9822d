"""The page Why: what in a face a model's answer hangs on, by maps over the picture; and over a group in the mean."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from app import face_grid, photo, resources, upload
from faces import targets
from faces.inference import attribution
from faces.inference.predictor import SHIPPED, ModelError, Predictor

LIMITS = (
    "A map shows what this model's answer hangs on, not what is true of a face or a person, and not a reason for it: "
    "maps of several methods that agree are worth more than one that looks right."
)
WIDTH = 210  # pixels of a map
FIRST = ("grad_cam", "integrated_gradients", "occlusion")  # methods that are shown unless others are picked
MOST = 200  # faces of a group
PHOTO, RUN = "A photo of mine", "A face of the last run"


@dataclass(frozen=True)
class Explained:
    """A model that maps can be drawn of: its weights for Keras, and its ONNX file, which says how it sees pictures."""

    weights: Path
    onnx: Path


def main() -> None:
    """Ask for a face and a target, draw maps."""
    st.title("Why")
    st.caption(LIMITS)
    known = explainable()
    left, right = st.columns([3, 2])
    with right:
        name = st.selectbox("Model", list(known), key="explained")
        chosen = known[name]
        predictor = resources.predictor(str(chosen.onnx))
        told = [each.name for each in predictor.targets]
        target = st.segmented_control("Target", told, default=told[0], required=True, key=f"asked {' '.join(told)}")
        of = st.selectbox(
            "Of the answer",
            ["the predicted one", *targets.TARGETS[target].classes],
            key=f"of_{target}",
            disabled=targets.TARGETS[target].kind == "years",
        )
        least = st.slider(
            "Show what is at least", 0.0, 1.0, 0.2, 0.05, key="threshold", help="As a share of the map's largest value."
        )
    with left:
        one, group = st.tabs(["One face", "A group in the mean"])
    resources.warn(predictor, name)
    asked = (target, None if of == "the predicted one" or targets.TARGETS[target].kind == "years" else of)
    with one:
        seen = given_face(predictor)
    with group:
        average(chosen, predictor, asked, least)
    if seen is not None:
        draw(chosen, predictor, seen, asked, least)


def explainable() -> dict[str, Explained]:
    """The shipped model, and those that were trained in this folder."""
    found = {"pretrained/utkface": Explained(attribution.SHIPPED, SHIPPED)}
    for folder in sorted(Path("data/models").glob("*")):
        onnx = Path("data/calibrated", folder.name, "model.onnx")
        if onnx.exists() and (folder / "model.weights.h5").exists():
            found[folder.name] = Explained(folder, onnx)
    return found


@st.cache_resource(max_entries=3, show_spinner="Loading TensorFlow and the model: some seconds, once ...")
def explainer(path: Path, changed: float) -> attribution.Explainer:
    """A model's weights, as attribution takes them."""
    return attribution.Explainer(path)


def opened_explainer(chosen: Explained) -> attribution.Explainer | None:
    """The same, opened anew where the file has changed; None, with the reason shown, where that cannot be done."""
    try:
        return explainer(chosen.weights, chosen.onnx.stat().st_mtime)
    except (ModelError, OSError) as error:
        st.error(str(error))
        return None


def given_face(predictor: Predictor) -> np.ndarray | None:
    """What the model sees (s, s, 3) of a face that the visitor gives or picks; None where there is none yet."""
    packed = packed_faces(predictor)
    ways = [PHOTO, *([RUN] if packed is not None else [])]
    way = st.segmented_control("Which face", ways, default=PHOTO, required=True, label_visibility="collapsed")
    if way == RUN:
        return picked(packed, predictor)
    given = photo.of(upload.ask())
    if given is None:
        return None
    with st.expander("Settings"):
        cropped, score = photo.settings()
    places, seen = given.faces(predictor, cropped, score)
    if not seen:
        st.warning(photo.NONE)
        return None
    number = 0
    if len(seen) > 1:
        st.image(photo.boxed(given.image, places), alt="The photo with its faces numbered", width=WIDTH)
        number = st.number_input("Face", 1, len(seen), 1, key="face_number") - 1
    return seen[number]


def packed_faces(predictor: Predictor) -> pd.DataFrame | None:
    """Test faces of the last run that a model can be asked about, None where their pictures are not here."""
    dataset, variant = predictor.about["dataset"], predictor.about["variant"]
    split = Path(f"data/splits/{dataset}.csv")
    if resources.pack(dataset, variant) is None or not split.exists():
        return None
    rows = resources.table(str(split))
    return rows[rows["part"] == "test"]


def seen_of(rows: pd.DataFrame, predictor: Predictor) -> list[np.ndarray]:
    """What a model sees of packed faces."""
    pack = resources.pack(predictor.about["dataset"], predictor.about["variant"])
    at = pack.rows(rows["face_id"])
    return [predictor.seen(content) for content in pack.images(at[at >= 0])]


def picked(rows: pd.DataFrame, predictor: Predictor) -> np.ndarray | None:
    """A test face, another one at each press of a button."""
    if st.button("Another face", icon=":material/shuffle:"):
        st.session_state["picked"] = st.session_state.get("picked", 0) + 1
    if not len(rows):
        st.info("The split has no test faces.")
        return None
    row = rows.sample(1, random_state=st.session_state.get("picked", 0))
    st.caption(f"Labelled: {face_grid.labels(row.iloc[0])}.")
    seen = seen_of(row, predictor)
    return seen[0] if seen else None


def draw(
    chosen: Explained, predictor: Predictor, seen: np.ndarray, asked: tuple[str, str | None], least: float
) -> None:
    """Maps of one face by the methods that are picked."""
    names = {method.name: key for key, method in attribution.METHODS.items()}
    first = [attribution.METHODS[key].name for key in FIRST]
    wanted = st.pills("Maps", list(names), selection_mode="multi", default=first, key="methods")
    model = opened_explainer(chosen)
    if model is None:
        return
    target, of = asked
    said = predictor.told(seen[None]).iloc[0]
    st.markdown(f"It says: **{target} {said[target]}**" + (f"; asked about: **{of}**" if of else ""))
    with st.container(horizontal=True, gap="medium"):
        with st.container(width=WIDTH):
            st.image(seen, "What the model sees", width=WIDTH, alt="The face as the model sees it")
        for name in wanted:
            method = attribution.METHODS[names[name]]
            with st.container(width=WIDTH):
                try:
                    with st.spinner(f"{name} ..."):
                        found = drawn(model, chosen, seen, asked, names[name])
                except ValueError as error:
                    st.warning(str(error))
                    continue
                shown = attribution.overlay(seen, attribution.normalised(found), least, method.signed)
                st.image(shown, name, width=WIDTH, alt=f"{name} for {target} over the face")
                st.caption(method.tells)
    if any(attribution.METHODS[names[name]].signed for name in wanted):
        st.caption("Where a map has a sign, red raises the answer and blue lowers it.")


def drawn(
    model: attribution.Explainer, chosen: Explained, seen: np.ndarray, asked: tuple[str, str | None], method: str
) -> np.ndarray:
    """A map, kept while the face is the same, since sliders run the page again."""
    face = (str(chosen.weights), chosen.onnx.stat().st_mtime, seen.tobytes())
    if st.session_state.get("mapped") != face:
        st.session_state["mapped"], st.session_state["maps"] = face, {}
    maps = st.session_state["maps"]
    if (asked, method) not in maps:
        maps[asked, method] = model.explain(seen, asked[0], method, asked[1])
    return maps[asked, method]


def average(chosen: Explained, predictor: Predictor, asked: tuple[str, str | None], least: float) -> None:
    """The mean map over test faces of a group that the visitor picks; it stays until another question is asked."""
    rows = packed_faces(predictor)
    if rows is None:
        st.info("This needs the faces of a run: `make repro` in a shell makes them, and the model that they taught.")
        return
    rows = face_grid.only(rows, "mean")
    names = {method.name: key for key, method in attribution.METHODS.items()}
    left, right = st.columns(2)
    name = left.selectbox("Map", list(names), index=list(names.values()).index("grad_cam"), key="mean_method")
    many = right.slider("Faces", 1, MOST, min(32, MOST), key="mean_faces")
    some = rows.sample(min(many, len(rows)), random_state=0)
    st.caption(f"{len(some)} of {len(rows)} test faces of the group.")
    question = (chosen, asked, name, tuple(some["face_id"]))
    if len(some) and st.button("Draw the mean", type="primary"):
        st.session_state["mean"] = question, drawn_mean(chosen, seen_of(some, predictor), asked, names[name])
    kept, found = st.session_state.get("mean", (None, None))
    if kept != question or found is None:
        return
    mean, map_ = found
    shown = attribution.overlay(mean, attribution.normalised(map_), least, attribution.METHODS[names[name]].signed)
    with st.container(horizontal=True):
        st.image(mean, "Mean of the faces", width=WIDTH, alt="Mean of the faces")
        st.image(shown, f"Mean of {name}", width=WIDTH, alt=f"Mean of {name} over the mean face")


def drawn_mean(
    chosen: Explained, seen: list[np.ndarray], asked: tuple[str, str | None], method: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean of faces (s, s, 3) uint8 and of their maps (s, s); None, with the reason shown, where there is none."""
    model = opened_explainer(chosen)
    if model is None:
        return None
    bar = st.progress(0.0, "Drawing ...")
    maps = (attribution.normalised(model.explain(image, asked[0], method, asked[1])) for image in counted(seen, bar))
    try:
        found = attribution.mean_map(maps)
    except ValueError as error:
        st.warning(str(error))
        return None
    finally:
        bar.empty()
    return np.stack(seen).mean(axis=0).astype(np.uint8), found


def counted(seen: list[np.ndarray], bar):  # noqa: ANN001, ANN201 - Streamlit names no class
    """Pictures as they are taken, told to a progress bar."""
    for number, image in enumerate(seen, 1):
        yield image
        bar.progress(number / len(seen), f"{number} of {len(seen)} faces")
