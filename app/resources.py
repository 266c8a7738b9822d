"""Resources that all sessions share: models, the face detector, packs and tables of the last run."""

import gc
from pathlib import Path

import streamlit as st

from faces import params
from faces.data import packs, records
from faces.images.detection import FaceDetector
from faces.inference.predictor import SHIPPED, ModelError, Predictor
from faces.tracking import model_choice

CACHE_SECONDS = 10  # lifetime of cached files that a run may change
read_table = st.cache_data(records.read, ttl=CACHE_SECONDS, show_spinner=False)
read_json = st.cache_data(records.read_json, ttl=CACHE_SECONDS, show_spinner=False)


@st.cache_resource(show_spinner=False)
def detector() -> FaceDetector:
    """The face detector."""
    return FaceDetector()


@st.cache_resource(show_spinner=False)
def preload() -> None:
    """Load what a prediction needs, after the page that asks for a photo is shown."""
    from app import charts  # noqa: F401

    detector()
    gc.collect()
    gc.freeze()  # later collections skip these objects; scanning them delayed predictions by tenths of a second


@st.cache_data(ttl=CACHE_SECONDS, show_spinner="Listing registered models ...")
def models() -> tuple[dict[str, str], str]:
    """Models to choose from, {label: name as model_choice.find takes it}, the default first; and why it is that one."""
    shipped = {
        model_choice.from_file(path).version: str(path)
        for path in sorted(SHIPPED.parents[1].glob("*/*.onnx"), reverse=True)
    }
    try:
        registered, champion = model_choice.registered()
        why = f"it is the champion of {model_choice.REGISTERED}" if champion else "no champion is registered"
    except ModelError as error:
        registered, champion, why = [], "", str(error)
    store = {label: f"models:/{label}" for label in registered}
    return ({champion: store[champion]} if champion else {}) | shipped | store, why


@st.cache_resource(max_entries=8, show_spinner="Loading the model ...")
def _predictor(name: str, modified: float) -> Predictor:
    return Predictor(model_choice.find(name).path)


def predictor(name: str) -> Predictor:
    """A model by its name, as model_choice.find takes it. A file is loaded again if it has changed.

    Raises ModelError.
    """
    path = Path(name)
    if path.suffix == ".onnx" and not path.exists():
        raise ModelError(f"{name} no longer exists: select another model")
    return _predictor(name, path.stat().st_mtime if path.suffix == ".onnx" else 0.0)


def warn(predictor: Predictor, label: str) -> None:
    """Show a warning if a model was not trained on real photos."""
    if predictor.metadata.get("kind") == "sample":
        st.warning(
            f"{label}: this model was trained on synthetic faces; its predictions for photos mean nothing.",
            icon=":material/draw:",
        )
    elif "-simulated/" in label:
        st.warning(f"{label}: this model was trained on simulated photos; its scores are not real results.")


@st.cache_data(ttl=CACHE_SECONDS, show_spinner=False)
def evaluate_params() -> params.Evaluate:
    """Section `evaluate` of params.yaml."""
    return params.load().evaluate


@st.cache_resource(max_entries=8, show_spinner=False)
def _pack(folder: str, modified: float) -> packs.Pack:
    return packs.Pack(folder)


def pack(dataset: str, variant: str) -> packs.Pack | None:
    """Packed images of a dataset; None if there are none yet."""
    manifest = Path("data/packs", dataset, variant, packs.MANIFEST)
    return _pack(str(manifest.parent), manifest.stat().st_mtime) if manifest.exists() else None


def require(condition: object, message: str) -> None:
    """Show a message, and end the page there, unless a condition holds."""
    if not condition:
        st.info(message)
        st.stop()


def show_warnings() -> None:
    """Show the warnings of the last run's report."""
    page = Path("reports/index.md")
    for line in page.read_text().splitlines() if page.exists() else []:
        if line.startswith("> **"):
            st.warning(line.removeprefix("> **").removesuffix("**"), icon=":material/draw:")
