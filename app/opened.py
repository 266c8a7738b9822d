"""What is opened once for all visitors, and shared: models, the detector, packs and tables of the last run."""

import json
from pathlib import Path

import pandas as pd
import streamlit as st

from stages.lib import packs, records, serving
from stages.lib.finding import Finder
from stages.lib.predictor import SHIPPED, Predictor
from stages.lib.serving import Served

FRESH = 10  # seconds for which what was read of files that a run may change is kept


@st.cache_resource(show_spinner=False)
def finder() -> Finder:
    """The detector of faces."""
    return Finder()


@st.cache_resource(max_entries=8, show_spinner=False)
def _predictor(path: Path, changed: float) -> Predictor:
    return Predictor(path)


def predictor(served: Served) -> Predictor:
    """A model, opened anew where its file has changed."""
    return _predictor(served.path, served.path.stat().st_mtime)


@st.cache_data(ttl=FRESH, show_spinner="Looking for registered models ...")
def models() -> dict[str, Served]:
    """Models to choose from, {label: where and which}: the one that speaks unless another is named comes first."""
    shipped = [serving.of_file(path) for path in sorted(SHIPPED.parent.glob("*.onnx"), reverse=True)]
    return {served.version: served for served in (serving.find(), *serving.registered(), *shipped)}


@st.cache_data(ttl=FRESH, show_spinner=False)
def table(path: str) -> pd.DataFrame:
    """A table of records or results; its texts are text, '' where empty."""
    return records.read(path)


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
