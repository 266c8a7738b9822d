"""What pages work out before they show it, by hand; and what no page may do, whatever it shows."""

import asyncio
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser

from app import access, predict_results, resources
from app.pages import data, models
from faces.images import preprocessing
from faces.inference.predictor import SHIPPED, ModelError
from faces.targets import TARGETS
from faces.tracking import model_choice
from tests.conftest import ROOT, encoded, picture

SAID = pd.DataFrame(
    {
        "age": [11.0, 12, 19, 20, np.nan],
        "age_predicted": [12.0, 10, 19, 26, 30],
        "age_mean": [14.0, 12, 15, 20, 30],
        "sex": ["male", "female", "", "male", "male"],
        "sex_predicted": ["male", "male", "male", "female", "male"],
        "sex_p_male": [0.9, 0.6, 0.5, 0.2, 0.7],
        "sex_p_female": [0.1, 0.4, 0.5, 0.8, 0.3],
    }
)


def test_decades_are_scored_where_enough_faces_are_labelled():
    known = SAID[SAID["age"].notna()]
    mae = models.by_decade(known, "age", "mae", least=2)
    assert mae.to_dict("records") == [{"age": 15, "who": "both", "value": 1.0, "n": 3}]
    rmse = models.by_decade(known, "age", "rmse", least=3)["value"]
    assert rmse.tolist() == [pytest.approx(np.sqrt((9 + 0 + 16) / 3))]
    accuracy = models.by_decade(known, "sex", "accuracy", least=1)
    assert accuracy[["age", "who", "value", "n"]].to_numpy().tolist() == [
        [15, "both", 0.5, 2], [25, "both", 0.0, 1], [15, "female", 0.0, 1], [15, "male", 1.0, 1], [25, "male", 0.0, 1]
    ]  # fmt: skip


def test_faces_are_ranked_by_how_wrong_a_model_is():
    assert models.wrongness(SAID, TARGETS["age"]).fillna(-1).tolist() == [1, 2, 0, 6, -1]
    assert models.wrongness(SAID, TARGETS["sex"]).round(6).fillna(-1).tolist() == [0, 0.6, -1, 0.8, 0]


def test_true_and_predicted_are_counted():
    ages = models.spread(SAID, "age")
    assert ages.to_numpy().tolist() == [
        [12.5, 2, "true"], [17.5, 1, "true"], [22.5, 1, "true"],
        [12.5, 2, "predicted"], [17.5, 1, "predicted"], [27.5, 1, "predicted"],
    ]  # fmt: skip
    sexes = models.confused(SAID, TARGETS["sex"])
    assert sexes[["true", "predicted", "faces"]].to_numpy().tolist() == [
        ["male", "male", 2], ["male", "female", 1], ["female", "male", 1], ["female", "female", 0]
    ]  # fmt: skip
    assert sexes["share"].round(3).tolist() == [0.667, 0.333, 1, 0]


def test_curves_are_put_together_by_their_units():
    names = ["epoch", "loss", "val_age_mae", "val_age_percentile_gap", "val_sex_accuracy", "val_score"]
    assert models.curves(names) == {
        "loss": ["loss"],
        "years": ["val_age_mae"],
        "share": ["val_sex_accuracy", "val_score"],
    }


def test_ages_are_summed_up_by_group_and_by_year():
    rows = pd.DataFrame(
        {"age": [10.0, 20, 30, np.nan], "sex": ["male", "male", "", "female"], "photo_year": [2000, 2000, 2001, 2001]}
    )
    table = data.summary(rows, ["sex"]).set_index("group")
    assert table.loc["all faces", ["faces", "with an age", "mean", "50%"]].tolist() == [4, 3, 20, 20]
    assert table.loc["male", ["faces", "mean", "25%"]].tolist() == [2, 15, 12.5]
    assert data.quartiles(rows).to_numpy().tolist() == [[2000, 15, 12.5, 17.5, 2], [2001, 30, 30, 30, 1]]


def test_counts_keep_the_order_of_parts_and_classes():
    rows = pd.DataFrame(
        {"age": [3.0, 4, 7, np.nan], "part": ["test", "train", "train", "val"], "sex": ["female", "", "male", ""]}
    )
    by_part = data.by_years(rows, "age", 5, "part")
    assert by_part.to_numpy().tolist() == [[0, "train", 1], [5, "train", 1], [0, "test", 1]]
    assert data.by_years(rows, "age", 5, "sex")["sex"].tolist() == ["male", "female", "unlabelled"]


@pytest.mark.parametrize(
    ("error", "inside", "words"),
    [(3.4, True, "3 years too old, inside"), (-7, False, "7 years too young, outside"), (0.2, True, "right, inside")],
)
def test_an_age_is_judged_in_words(error, inside, words):
    assert words in predict_results.verdict(error, inside, margin=True)
    assert "margin" not in predict_results.verdict(error, inside, margin=False)


def test_uploads_are_held_in_memory_whatever_their_size(monkeypatch):
    monkeypatch.setattr(MultiPartParser, "spool_max_size", MultiPartParser.spool_max_size)
    access.keep_in_memory()
    assert MultiPartParser.spool_max_size > preprocessing.MAX_BYTES
    assert not spooled(4 << 20)
    MultiPartParser.spool_max_size = 1 << 20
    assert spooled(4 << 20)  # as Streamlit's server would do


def spooled(size):
    """Whether a file of a size that is uploaded is written to disk."""

    async def parts():
        yield (
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.jpg"\r\n\r\n'
            + bytes(size)
            + b"\r\n--x--\r\n"
        )

    headers = Headers({"content-type": "multipart/form-data; boundary=x"})
    form = asyncio.run(MultiPartParser(headers, parts()).parse())
    return form["f"].file._rolled


def test_a_file_cut_short_after_its_first_picture_counts_as_one():
    moving = encoded(picture(1, (200, 100)), "GIF", save_all=True, append_images=[picture(2, (200, 100))] * 3)
    for kept in range(len(moving) // 3, len(moving), 97):
        assert preprocessing.frames(moving[:kept]) >= 1


def test_models_are_those_that_are_shipped_where_the_store_does_not_answer(monkeypatch):
    monkeypatch.chdir(ROOT)

    def registered():
        raise ModelError("MLflow does not answer")

    monkeypatch.setattr(model_choice, "registered", registered)
    known, wrong = resources.models.__wrapped__()
    assert next(iter(known.values())) == str(SHIPPED)
    assert wrong == "MLflow does not answer"


def test_the_champion_of_photos_comes_first_and_other_champions_after_the_shipped(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(model_choice, "registered", lambda: ["faces-utkface/3", "faces-utkface-sample/1"])
    assert next(iter(resources.models.__wrapped__()[0])) == "faces-utkface/3"
    monkeypatch.setattr(model_choice, "registered", lambda: ["faces-utkface-sample/1"])
    names = list(resources.models.__wrapped__()[0].values())
    assert names[0] == str(SHIPPED)
    assert names[-1] == "models:/faces-utkface-sample/1"


def test_a_model_that_is_gone_is_told(tmp_path):
    with pytest.raises(ModelError, match="is not there any more"):
        resources.predictor(str(tmp_path / "model.onnx"))


def test_the_first_page_asks_before_anything_slow_is_imported():
    slow = {"altair", "mlflow", "onnxruntime", "pandas", "tensorflow"}
    code = f"import sys, app.pages.predict; print(*{slow} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
