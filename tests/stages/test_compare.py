"""Models in one table, and variants on the faces that both have."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from faces import params
from faces.evaluation import score_tables
from faces.reporting import index_page
from stages import compare


def predict(wrong, faces=30):
    """Test faces f0 on, all male and each a group of its own, of which the first are taken for female."""
    predicted = ["female"] * wrong + ["male"] * (faces - wrong)
    ids = [f"f{i:02d}" for i in range(faces)]
    rows = {"face_id": ids, "group": ids, "part": "test", "age": 30.0, "sex": "male", "sex_predicted": predicted}
    return pd.DataFrame(rows)


@pytest.fixture
def three(project):
    """Full, detected and cropped models as evaluate leaves them; of detected, the last five faces are missing."""
    values = yaml.safe_load((project / "params.yaml").read_text())
    row = values["models"]["utkface-cropped"]
    for variant in ("full", "detected"):
        values["variants"][f"utkface-{variant}"] = {"dataset": "utkface", "variant": variant, "reader": "utkface"}
    values["models"] = {f"utkface-{variant}": row | {"variant": variant} for variant in ("cropped", "detected", "full")}
    values["gate"]["limits"] = {}
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    for name, rows in {"cropped": predict(3), "detected": predict(5, 25), "full": predict(15)}.items():
        kept, folder = (project / place / f"utkface-{name}" for place in ("data/evaluated", "reports/models"))
        kept.mkdir(parents=True)
        folder.mkdir(parents=True)
        rows.to_csv(kept / "predictions.csv", index=False)
        accuracy = (rows["sex"] == rows["sex_predicted"]).mean()
        scores = {"part": "test", "target": "sex", "score": "accuracy", "group": "", "n": len(rows), "value": accuracy}
        scores |= {"low": 0.0, "high": 1.0, "dummy_baseline": 1.0}
        pd.DataFrame([scores]).to_csv(folder / "scores.csv", index=False)
        judged = {"dummy_baseline": {"sex": {"better": name != "full"}}}
        (folder / "summary.json").write_text(json.dumps(judged))
    return project / "reports/comparison"


def test_faces_are_counted_by_five_years_and_by_class():
    rows = pd.DataFrame(
        {
            "age": [3.0, 4.5, 20.0, np.nan],
            "age_predicted": [1.0, 4.0, 31.0, 50.0],
            "sex": ["male", "female", "female", "female"],
            "sex_predicted": ["male", "male", "female", "female"],
        }
    )
    result = score_tables.confusion_counts(rows)
    assert result.to_numpy().tolist() == [
        ["age", 0, 0, 2], ["age", 20, 30, 1], ["sex", "female", "female", 2], ["sex", "female", "male", 1],
        ["sex", "male", "male", 1],
    ]  # fmt: skip


def test_each_two_variants_are_compared_on_the_faces_that_both_have(three):
    compare.main()
    tables = {path.stem: pd.read_csv(path) for path in sorted(three.glob("*_against_*.csv"))}
    assert list(tables) == ["detected_against_cropped", "full_against_cropped", "full_against_detected"]
    values = ["dataset", "full", "cropped", "score", "n", "full_value", "cropped_value", "difference", "low", "high"]
    assert list(tables["full_against_cropped"]) == values
    (row,) = tables["detected_against_cropped"].to_dict("records")
    assert (row["detected"], row["cropped"], row["score"]) == ("utkface-detected", "utkface-cropped", "sex accuracy")
    assert (row["n"], row["detected_value"], row["cropped_value"], row["difference"]) == (25, 0.8, 0.88, -0.08)
    assert row["low"] < -0.08 < row["high"]
    assert tables["full_against_detected"][["n", "difference"]].to_numpy().tolist() == [[25, -0.4]]
    assert tables["full_against_cropped"][["n", "difference"]].to_numpy().tolist() == [[30, -0.4]]


def test_a_model_that_starts_from_another_is_compared_with_the_same_from_new_weights(three, project):
    values = yaml.safe_load((project / "params.yaml").read_text())
    rows = values["models"]
    started = rows["utkface-cropped"] | {"start_from": "data/models/utkface-full", "train": {"freeze": True}}
    values["models"] = {"utkface-cropped": rows["utkface-cropped"], "utkface-detected": started}
    values["models"]["utkface-full"] = rows["utkface-full"] | {"train": {"dropout": 0.1}}
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    compare.main()
    assert [path.stem for path in sorted(three.glob("*_against_*.csv"))] == ["pretrained_against_scratch"]
    (row,) = pd.read_csv(three / "pretrained_against_scratch.csv").to_dict("records")
    assert (row["pretrained"], row["scratch"], row["n"]) == ("utkface-detected", "utkface-cropped", 25)
    assert (row["difference"], row["low"] < -0.08 < row["high"]) == (-0.08, True)
    rows = pd.DataFrame({"dataset": ["a", "a", "b"], "pretrained": ["x", "y", "z"]})
    assert score_tables.pair_names(rows, "pretrained").tolist() == ["x", "y", "b"]


def test_dummy_baselines_stand_below_the_models_and_useless_models_are_named(three):
    compare.main()
    rows = pd.read_csv(three / "models.csv", keep_default_na=False).to_dict("records")
    names = ["utkface-cropped", "utkface-detected", "utkface-full", "dummy baseline of utkface-cropped, utkface-full"]
    assert [row["model"] for row in rows] == [*names, "dummy baseline of utkface-detected"]  # on fewer faces
    assert [row["no better than the dummy baseline"] for row in rows] == ["", "", "sex", "", ""]
    assert [row["sex accuracy"] for row in rows[2:]] == ["0.500 [0.000, 1.000]", "1.000", "1.000"]


def test_the_report_shows_each_two_variants(three):
    compare.main()
    lines = index_page.comparison(three, 0.95)
    assert [line for line in lines if line.startswith("## ")] == [
        "## Detected against cropped", "## Full against cropped", "## Full against detected",
    ]  # fmt: skip
    assert "![full against detected](plots/full_against_detected.png)" in lines
    assert [line.endswith("Photos without a detected face are left out.") for line in lines if "paired" in line] == [
        True, False, True,
    ]  # fmt: skip
    (three / "detected_against_cropped.csv").unlink()
    assert "## Detected against cropped" not in index_page.comparison(three, 0.95)


def test_models_that_differ_in_more_than_the_variant_are_no_pair(project):
    models = params.load().models
    assert compare.pairs(models, "full", "cropped") == [("utkface-full", "utkface-cropped")]
    assert compare.pairs(models, "cropped", "full") == [("utkface-cropped", "utkface-full")]
    assert compare.pairs(models, "detected", "cropped") == []
    other = models["utkface-full"].model_copy(update={"options": {"widths": [8], "blocks": [1]}})
    assert compare.pairs(models | {"utkface-full": other}, "full", "cropped") == []
