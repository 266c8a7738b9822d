"""The page Why: attribution maps of a model's prediction, for one face or averaged over a group."""

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
    "A map shows what this model's output depends on. It shows neither facts about a face or a person nor the reasons "
    "for them. Maps of several methods that agree are better evidence than one map that looks plausible."
)
WIDTH = 210  # pixels of a map
KEYS = {method.name: key for key, method in attribution.METHODS.items()}  # by the names that are shown
DEFAULT_METHODS = ("grad_cam", "integrated_gradients", "occlusion")
MAX_FACES = 200  # of a group
PHOTO, LAST_RUN = "My photo", "A face of the last run"
PREDICTED = "the predicted one"

Output = tuple[str, str | None]  # target, and its class; None for years and for the predicted class


@dataclass(frozen=True)
class ExplainableModel:
    """A model with attribution maps: its Keras weights, and its ONNX file, which defines the preprocessing."""

    weights: Path
    onnx: Path


def main() -> None:
    """Ask for a face and an output of the model, and show the maps."""
    st.title("Why")
    st.caption(LIMITS)
    models = explainable_models()
    left, right = st.columns([3, 2])
    with right:
        name = st.selectbox("Model", list(models), key="explained")
        model = models[name]
        predictor = resources.predictor(str(model.onnx))
        output = choose_output(predictor)
        threshold = st.slider(
            "Threshold", 0.0, 1.0, 0.2, 0.05, key="threshold", help="As a share of the map's largest value."
        )
    with left:
        one, group = st.tabs(["One face", "Mean of a group"])
    resources.warn(predictor, name)
    with one:
        face = choose_face(predictor)
    with group:
        show_mean(model, predictor, output, threshold)
    if face is not None:
        show_maps(model, predictor, face, output, threshold)


def explainable_models() -> dict[str, ExplainableModel]:
    """The shipped model, and the models that were trained in this folder."""
    models = {"pretrained/utkface": ExplainableModel(attribution.SHIPPED, SHIPPED)}
    for onnx in sorted(Path("data/calibrated").glob("*/model.onnx")):
        weights = Path("data/models", onnx.parent.name)
        if (weights / "model.weights.h5").exists():
            models[weights.name] = ExplainableModel(weights, onnx)
    return models


def choose_output(predictor: Predictor) -> Output:
    """Output of the model that the user selects."""
    names = [target.name for target in predictor.targets]
    name = st.segmented_control("Target", names, default=names[0], required=True, key=f"target of {' '.join(names)}")
    target = targets.TARGETS[name]
    years = target.kind == "years"
    class_ = st.selectbox("Class", [PREDICTED, *target.classes], key=f"class of {name}", disabled=years)
    return name, None if class_ == PREDICTED else class_


@st.cache_resource(max_entries=3, show_spinner="Loading TensorFlow and the model: some seconds, once ...")
def _explainer(path: Path, modified: float) -> attribution.Explainer:
    return attribution.Explainer(path)


def load_explainer(model: ExplainableModel) -> attribution.Explainer | None:
    """Load a model's weights, again if they have changed; None if that fails (a message is shown)."""
    try:
        return _explainer(model.weights, model.onnx.stat().st_mtime)
    except (ModelError, OSError) as error:
        st.error(str(error))
        return None


def choose_face(predictor: Predictor) -> np.ndarray | None:
    """Model input (s, s, 3) uint8 of the user's photo or of a face of the last run; None if there is none yet."""
    rows = faces_of_last_run(predictor)
    sources = [PHOTO, *([LAST_RUN] if rows is not None else [])]
    source = st.segmented_control("Face", sources, default=PHOTO, required=True, label_visibility="collapsed")
    if source == LAST_RUN:
        return random_face(rows, predictor)
    loaded = photo.load(upload.ask())
    if loaded is None:
        return None
    with st.expander("Settings"):
        cropped, min_score = photo.settings()
    places, faces = loaded.faces(predictor, cropped, min_score)
    if not faces:
        st.warning(photo.NO_FACE)
        return None
    if len(faces) == 1:
        return faces[0]
    st.image(photo.with_boxes(loaded.image, places), alt="The photo with its faces numbered", width=WIDTH)
    return faces[st.number_input("Face", 1, len(faces), 1, key="face_number") - 1]


def faces_of_last_run(predictor: Predictor) -> pd.DataFrame | None:
    """Test faces of the last run in the model's variant; None if their images are not here."""
    dataset, variant = predictor.metadata["dataset"], predictor.metadata["variant"]
    split = Path(f"data/splits/{dataset}.csv")
    if resources.pack(dataset, variant) is None or not split.exists():
        return None
    rows = resources.read_table(split)
    return rows[rows["part"] == "test"]


def model_inputs(rows: pd.DataFrame, predictor: Predictor) -> list[np.ndarray]:
    """Model inputs (s, s, 3) uint8 of packed faces; faces that the pack lacks are skipped."""
    pack = resources.pack(predictor.metadata["dataset"], predictor.metadata["variant"])
    at = pack.rows(rows["face_id"])
    return [predictor.file_to_input(content) for content in pack.images(at[at >= 0])]


def random_face(rows: pd.DataFrame, predictor: Predictor) -> np.ndarray | None:
    """Model input of a random test face, a new one at each click."""
    seed = face_grid.seed("face_seed", st.button("Another face", icon=":material/shuffle:"))
    if not len(rows):
        st.info("The split has no test faces.")
        return None
    row = rows.sample(1, random_state=seed)
    st.caption(f"Labels: {face_grid.label_text(row.iloc[0])}.")
    return next(iter(model_inputs(row, predictor)), None)


def show_maps(
    model: ExplainableModel, predictor: Predictor, face: np.ndarray, output: Output, threshold: float
) -> None:
    """Show maps of one face by the methods that the user selects."""
    default = [attribution.METHODS[key].name for key in DEFAULT_METHODS]
    names = st.pills("Maps", list(KEYS), selection_mode="multi", default=default, key="methods")
    explainer = load_explainer(model)
    if explainer is None:
        return
    target, class_ = output
    predicted = predictor.predict_inputs(face[None])[target][0]
    st.markdown(f"Predicted: **{target} {predicted}**" + (f"; maps of: **{class_}**" if class_ else ""))
    with st.container(horizontal=True, gap="medium"):
        with st.container(width=WIDTH):
            st.image(face, "The model's input", width=WIDTH, alt="The face as the model's input")
        for name in names:
            method = attribution.METHODS[KEYS[name]]
            with st.container(width=WIDTH):
                try:
                    with st.spinner(f"{name} ..."):
                        map_ = cached_map(explainer, model, face, output, KEYS[name])
                except ValueError as error:
                    st.warning(str(error))
                    continue
                image = attribution.overlay(face, attribution.normalised(map_), threshold, method.signed)
                st.image(image, name, width=WIDTH, alt=f"{name} for {target} over the face")
                st.caption(method.description)
    if any(attribution.METHODS[KEYS[name]].signed for name in names):
        st.caption("In maps with a sign, red raises the output and blue lowers it.")


def cached_map(
    explainer: attribution.Explainer, model: ExplainableModel, face: np.ndarray, output: Output, method: str
) -> np.ndarray:
    """Map (s, s) of a face, computed once per face: each move of a slider runs the page again."""
    key = (str(model.weights), model.onnx.stat().st_mtime, face.tobytes())
    if st.session_state.get("maps_key") != key:
        st.session_state["maps_key"], st.session_state["maps"] = key, {}
    maps = st.session_state["maps"]
    if (output, method) not in maps:
        maps[output, method] = explainer.explain(face, output[0], method, output[1])
    return maps[output, method]


def show_mean(model: ExplainableModel, predictor: Predictor, output: Output, threshold: float) -> None:
    """Show the mean map over test faces of a group that the user selects, until a setting changes."""
    rows = faces_of_last_run(predictor)
    if rows is None:
        st.info("This needs the faces and models of a run: run `make repro` in a shell.")
        return
    rows = face_grid.choose_group(rows, "mean")
    left, right = st.columns(2)
    name = left.selectbox("Map", list(KEYS), index=list(KEYS.values()).index("grad_cam"), key="mean_method")
    count = right.slider("Faces", 1, MAX_FACES, min(32, MAX_FACES), key="mean_faces")
    sample = rows.sample(min(count, len(rows)), random_state=0)
    st.caption(f"{len(sample)} of {len(rows)} test faces of the group.")
    key = (model, output, name, tuple(sample["face_id"]))
    if len(sample) and st.button("Compute the mean", type="primary"):
        st.session_state["mean"] = key, mean_face_and_map(model, model_inputs(sample, predictor), output, KEYS[name])
    kept_key, means = st.session_state.get("mean", (None, None))
    if kept_key != key or means is None:
        return
    face, map_ = means
    image = attribution.overlay(face, attribution.normalised(map_), threshold, attribution.METHODS[KEYS[name]].signed)
    with st.container(horizontal=True):
        st.image(face, "Mean of the faces", width=WIDTH, alt="Mean of the faces")
        st.image(image, f"Mean of {name}", width=WIDTH, alt=f"Mean of {name} over the mean face")


def mean_face_and_map(
    model: ExplainableModel, faces: list[np.ndarray], output: Output, method: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean of faces (s, s, 3) uint8 and of their maps (s, s); None if there is none (a message is shown)."""
    explainer = load_explainer(model)
    if explainer is None:
        return None
    bar, maps = st.progress(0.0, "Computing ..."), []
    try:
        for number, face in enumerate(faces, 1):
            maps.append(attribution.normalised(explainer.explain(face, output[0], method, output[1])))
            bar.progress(number / len(faces), f"{number} of {len(faces)} faces")
        map_ = attribution.mean_map(maps)
        return np.stack(faces).mean(axis=0).astype(np.uint8), map_
    except ValueError as error:
        st.warning(str(error))
        return None
    finally:
        bar.empty()
