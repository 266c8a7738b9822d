"""What is opened once for all visitors, and shared: models, the detector, packs and tables of the last run."""

import gc
import json
from pathlib import Path

import pandas as pd
import streamlit as st

from faces import params
from faces.data import packs, records
from faces.images.detection import Finder
from faces.inference.predictor import SHIPPED, ModelError, Predictor
from faces.tracking import model_choice

FRESH = 10  # seconds for which what was read of files that a run may change is kept


@st.cache_resource(show_spinner=False)
def finder() -> Finder:
    """The detector of faces."""
    return Finder()


@st.cache_resource(show_spinner=False)
def ready() -> None:
    """Load what the answer to a photo needs, once the page that asks for one is drawn."""
    from app import charts  # noqa: F401

    finder()
    gc.collect()
    gc.freeze()  # what stays is looked through no more, which took tenths of a second in the middle of answers


@st.cache_data(ttl=FRESH, show_spinner="Looking for registered models ...")
def models() -> tuple[dict[str, str], str]:
    """Models to choose from, {label: name that serving.find takes}, and what is wrong with the store, or ''.

    The one that speaks unless another is named comes first.
    """
    shipped = {
        model_choice.from_file(path).version: str(path) for path in sorted(SHIPPED.parent.glob("*.onnx"), reverse=True)
    }
    try:
        known, wrong = model_choice.registered(), ""
    except ModelError as error:
        known, wrong = [], str(error)
    store = {label: f"models:/{label}" for label in known}
    champion = known[:1] if known and known[0].startswith(f"{model_choice.REGISTERED}/") else []
    return {label: store[label] for label in champion} | shipped | store, wrong


@st.cache_resource(max_entries=8, show_spinner="Opening the model ...")
def _predictor(name: str, changed: float) -> Predictor:
    return Predictor(model_choice.find(name).path)


def predictor(name: str) -> Predictor:
    """A model by a name that serving.find takes; a file is opened anew where it has changed. Raises ModelError."""
    path = Path(name)
    if path.suffix == ".onnx" and not path.exists():
        raise ModelError(f"{name} is not there any more")
    return _predictor(name, path.stat().st_mtime if path.suffix == ".onnx" else 0.0)


def warn(predictor: Predictor, label: str) -> None:
    """Say so where a model was taught by no photos, or by stand-ins of such."""
    if predictor.about.get("kind") == "sample":
        st.warning(
            f"{label}: drawn faces taught this model: what it says of photos means nothing.", icon=":material/draw:"
        )
    elif "-simulated/" in label:
        st.warning(f"{label}: simulated pictures taught this model: no number of it is a real result.")


@st.cache_data(ttl=FRESH, show_spinner=False)
def table(path: str) -> pd.DataFrame:
    """A table of records or results; its texts are text, '' where empty."""
    return records.read(path)


@st.cache_data(ttl=FRESH, show_spinner=False)
def evaluated() -> params.Evaluate:
    """How results are evaluated: params.yaml's section."""
    return params.load().evaluate


@st.cache_data(ttl=FRESH, show_spinner=False)
def document(path: str) -> dict:
    """A JSON file."""
    return json.loads(Path(path).read_text())


@st.cache_resource(max_entries=8, show_spinner=False)
def _pack(folder: str, changed: float) -> packs.Pack:
    return packs.Pack(folder)


def pack(dataset: str, variant: str) -> packs.Pack | None:
    """The packed pictures of a dataset, None where there are none yet."""
    manifest = Path("data/packs", dataset, variant, packs.MANIFEST)
    return _pack(str(manifest.parent), manifest.stat().st_mtime) if manifest.exists() else None


def warnings() -> list[str]:
    """What a reader of the last run's numbers must know, as its report says it."""
    page = Path("reports/index.md")
    lines = page.read_text().splitlines() if page.exists() else []
    return [line.removeprefix("> **").removesuffix("**") for line in lines if line.startswith("> **")]
