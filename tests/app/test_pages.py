"""What pages compute, by hand-computed values; handling of uploads; the choice of models; imports."""

import asyncio
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser

from app import access, predict_results, resources
from app.site_pages import data
from faces.images import preprocessing
from faces.inference.predictor import SHIPPED, ModelError
from faces.tracking import model_choice
from tests.conftest import ROOT


def test_ages_are_summarized_by_group_and_by_year():
    rows = pd.DataFrame(
        {"age": [10.0, 20, 30, np.nan], "sex": ["male", "male", "", "female"], "photo_year": [2000, 2000, 2001, 2001]}
    )
    table = data.age_summary(rows, ["sex"]).set_index("group")
    assert table.loc["all faces", ["faces", "with an age", "mean", "50%"]].tolist() == [4, 3, 20, 20]
    assert table.loc["male", ["faces", "mean", "25%"]].tolist() == [2, 15, 12.5]
    assert data.age_quartiles(rows).to_numpy().tolist() == [[2000, 15, 12.5, 17.5, 2], [2001, 30, 30, 30, 1]]


def test_counts_keep_the_order_of_parts_and_classes():
    rows = pd.DataFrame(
        {"age": [3.0, 4, 7, np.nan], "part": ["test", "train", "train", "val"], "sex": ["female", "", "male", ""]}
    )
    by_part = data.histogram(rows, "age", 5, "part")
    assert by_part.to_numpy().tolist() == [[0, "train", 1], [5, "train", 1], [0, "test", 1]]
    assert data.histogram(rows, "age", 5, "sex")["sex"].tolist() == ["male", "female", "unlabelled"]


@pytest.mark.parametrize(
    ("error", "inside", "text"),
    [(3.4, True, "3 years too old, inside"), (-7, False, "7 years too young, outside"), (0.2, True, "right, inside")],
)
def test_an_age_error_is_put_in_words(error, inside, text):
    assert text in predict_results.age_error(error, inside, has_interval=True)
    assert "interval" not in predict_results.age_error(error, inside, has_interval=False)


def test_uploads_are_held_in_memory_whatever_their_size(monkeypatch):
    monkeypatch.setattr(MultiPartParser, "spool_max_size", MultiPartParser.spool_max_size)
    access.keep_in_memory()
    assert MultiPartParser.spool_max_size > preprocessing.MAX_BYTES
    assert not spooled(4 << 20)
    MultiPartParser.spool_max_size = 1 << 20
    assert spooled(4 << 20)  # as Streamlit's server does by default


def spooled(size):
    """Whether an uploaded file of a size in bytes is written to disk."""

    async def parts():
        yield (
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.jpg"\r\n\r\n'
            + bytes(size)
            + b"\r\n--x--\r\n"
        )

    headers = Headers({"content-type": "multipart/form-data; boundary=x"})
    form = asyncio.run(MultiPartParser(headers, parts()).parse())
    return form["f"].file._rolled


def test_the_shipped_models_are_listed_if_the_store_fails(monkeypatch):
    monkeypatch.chdir(ROOT)

    def registered():
        raise ModelError("MLflow does not answer")

    monkeypatch.setattr(model_choice, "registered", registered)
    known, why = resources.models.__wrapped__()
    assert next(iter(known.values())) == str(SHIPPED)
    assert why == "MLflow does not answer"


def test_the_champion_of_photos_is_first_and_other_champions_follow_the_shipped(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = ["faces-utkface-sample/1", "faces-utkface/4", "faces-utkface/3"]
    monkeypatch.setattr(model_choice, "registered", lambda: (names, "faces-utkface/3"))
    known, why = resources.models.__wrapped__()
    assert (next(iter(known)), why) == ("faces-utkface/3", "it is the champion of faces-utkface")
    monkeypatch.setattr(model_choice, "registered", lambda: (names, ""))
    known, why = resources.models.__wrapped__()
    assert (next(iter(known.values())), why) == (str(SHIPPED), "no champion is registered")
    monkeypatch.setattr(model_choice, "registered", lambda: (["faces-utkface-sample/1"], ""))
    names = list(resources.models.__wrapped__()[0].values())
    assert names[0] == str(SHIPPED)
    assert names[-1] == "models:/faces-utkface-sample/1"


def test_a_model_that_is_gone_is_reported(tmp_path):
    with pytest.raises(ModelError, match="no longer exists"):
        resources.predictor(str(tmp_path / "model.onnx"))


def test_the_first_page_asks_before_slow_imports():
    slow = {"altair", "mlflow", "onnxruntime", "pandas", "tensorflow"}
    code = f"import sys, app.site_pages.predict; print(*{slow} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
