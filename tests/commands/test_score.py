"""A model is scored on a table of photos: rows, bins of ages, the labelled face, and what is left out."""

import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
import skimage.data
from PIL import Image

from commands import score
from faces import params
from faces.data import records
from faces.data.datasets import table
from faces.evaluation import predictions
from faces.images import contact_sheet, detection
from faces.images.preprocessing import ImageError
from faces.inference.predictor import SHIPPED
from faces.reporting import scored_page
from faces.targets import TARGETS
from tests.conftest import ROOT, picture

SEVERAL = "shows several faces that are as near to the middle"
TABLE = """
tables:
  mine:
    labels: labels.csv
    columns: {image: file, age: years, sex: gender}
    classes: {sex: {F: female, M: male}}
    ages: {30-39: [30, 39], more than 70: [70, 100]}
"""


@pytest.fixture
def photos(project, edit):
    """A table of five photos: two of one woman, one of two people at the same distance, one of nobody, one missing."""
    edit(r"^datasets: .*", "datasets: [utkface, wiki, mine]")
    edit(r"^tables: \{\}.*\n", TABLE)
    edit(
        r"^variants:\n", "variants:\n  mine-cropped: {dataset: mine, variant: cropped, reader: table, images: photos}\n"
    )
    folder = project / "photos"
    folder.mkdir()
    woman = Image.fromarray(skimage.data.astronaut())
    woman.save(folder / "a.jpg")
    two = Image.new("RGB", (1024, 512))
    two.paste(woman, (0, 0))
    two.paste(woman.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    two.save(folder / "two.png")
    wide = Image.new("RGB", (1024, 512))
    wide.paste(woman, (256, 0))
    wide.paste(woman.resize((200, 200)), (0, 0))
    wide.save(folder / "central.png")
    picture(1, (300, 300)).save(folder / "none.jpg")
    rows = ["a.jpg,30-39,F", "central.png,more than 70,M", "two.png,20,F", "none.jpg,20,F", "gone.jpg,20,F"]
    (project / "labels.csv").write_text("\n".join(["file,years,gender", *rows]) + "\n")
    return project


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["score", "mine", "--model", str(ROOT / SHIPPED), *words])
    score.main()


def test_a_table_of_photos_is_scored(photos, monkeypatch, capsys):
    run(monkeypatch)
    out = photos / "data/scored/mine"
    about = json.loads((out / "scores.json").read_text())
    assert (about["rows"], about["scored"]) == (5, 2)
    assert about["left_out"] == {"no such image": 1, "no face was found": 1, SEVERAL: 1}
    rows = predictions.parse((out / "predictions.csv").read_bytes()).set_index("face_id")
    assert list(rows.index) == ["a.jpg", "central.png"]
    assert rows["age"].tolist() == [35, 85.5]
    assert rows[["age_first", "age_last"]].to_numpy().tolist() == [[30, 39], [70, 100]]
    assert abs(rows["age_predicted"].diff()["central.png"]) < 3  # the large face, which is the same woman
    page = (out / "index.md").read_text()
    assert "2 of 5 rows of `labels.csv` are scored" in page
    assert "no such image" in page
    predicted = f"{rows['age_predicted']['central.png']:.0f}"
    assert re.search(rf"\| central.png +\| 70-100 +\| {predicted} ", page)
    assert {"worst_age.png", "plots"} <= {path.name for path in out.iterdir()}
    assert "mine: 2 of 5 rows scored with utkface.onnx" in " ".join(capsys.readouterr().err.split())


def test_the_largest_face_counts_if_that_is_asked_for(photos, monkeypatch):
    run(monkeypatch, "--face", "largest")
    about = json.loads((photos / "data/scored/mine/scores.json").read_text())
    assert about["scored"] == 3
    assert SEVERAL not in about["left_out"]


def test_two_models_are_compared_on_the_faces_of_a_part(photos, edit, monkeypatch, capsys):
    records.write(pd.DataFrame({"face_id": ["a.jpg", "central.png"], "part": ["test", "test"]}), "data/splits/mine.csv")
    edit(r"min_group_size: 20", "min_group_size: 2")
    small = ROOT / SHIPPED.with_suffix(".int8.onnx")
    run(monkeypatch, "--part", "test", "--against", str(small))
    about = json.loads((photos / "data/scored/mine/scores.json").read_text())
    assert (about["rows"], about["against"].split()[0]) == (2, small.name)
    rows = {(row["target"], row["score"]): row for row in about["compared"]}
    assert set(rows) == {("age", "mae"), ("age", "beyond"), ("age", "coverage"), ("sex", "accuracy")}
    mae = rows["age", "mae"]
    assert mae["n"] == 2
    assert mae["difference"] == pytest.approx(mae["first"] - mae["second"])
    assert 0 < abs(mae["difference"]) < 3  # the same network, in 8 bits
    page = (photos / "data/scored/mine/index.md").read_text()
    assert f"## Against {about['against']}" in page
    assert "## Against utkface.int8.onnx" in capsys.readouterr().out


def test_differences_of_two_models_are_paired_by_face_and_person():
    def predicted(ages, sexes):
        faces = [f"f{i}" for i in range(len(ages))]
        people = [f"p{i // 2}" for i in range(len(ages))]
        return pd.DataFrame({"face_id": faces, "group": people, "age": 30.0, "age_predicted": ages,
                             "sex": "male", "sex_predicted": sexes})  # fmt: skip

    settings = params.load(ROOT / "params.yaml").evaluate.model_copy(update={"min_group_size": 4})
    one = predicted([31.0, 32, 33, 34], ["male", "male", "male", "female"])
    two = predicted([32.0, 33, 34, 37, 90], ["female", "male", "male", "female", "male"])[::-1]
    rows = score.compared(one, two, settings).set_index(["target", "score"])
    assert rows.loc[("age", "mae"), ["n", "first", "second", "difference"]].tolist() == [4, 2.5, 4.0, -1.5]
    assert rows.loc[("sex", "accuracy"), "difference"] == 0.25
    # by hand: the residuals of the two people are +1 and -1, so the standard error is sqrt(2 * 2 / 1) / 4 = 0.5
    assert rows.loc[("age", "mae"), "high"] == pytest.approx(-1.5 + 1.95996 * 0.5, abs=1e-4)


def test_a_box_names_the_face_that_is_scored(photos, edit, monkeypatch, capsys):
    edit(r"sex: gender\}", "sex: gender, box: [l, t, r, b]}")
    Image.fromarray(skimage.data.coffee()).resize((320, 240)).save(photos / "photos/none.jpg")
    rows = ["a.jpg,30,F,,,,", "two.png,30,F,694,58,842,178", "none.jpg,30,F,100,50,150,110", "central.png,30,F,5,x,9,9"]
    (photos / "labels.csv").write_text("\n".join(["file,years,gender,l,t,r,b", *rows]) + "\n")
    run(monkeypatch)
    out = photos / "data/scored/mine"
    about = json.loads((out / "scores.json").read_text())
    assert about["left_out"] == {"box is not four numbers: 5,x,9,9": 1}
    assert about["how"] == "the face in its box, or of several faces the large one nearest to the middle"
    assert "1 images are framed by their box, since no face was found in them" in " ".join(
        capsys.readouterr().err.split()
    )
    run(monkeypatch, "--cropped")
    about = json.loads((out / "scores.json").read_text())
    assert (about["scored"], about["left_out"], about["how"]) == (4, {}, "each image is one face")
    assert "mine: the columns of boxes are not read" in " ".join(capsys.readouterr().err.split())


def test_what_cannot_be_scored_is_said(photos, monkeypatch, capsys):
    for words, reason in (
        (["yours"], "params.yaml has no table 'yours'; it has mine"),
        (["mine", "--model", "gone.onnx"], "gone.onnx is not a file"),
    ):
        monkeypatch.setattr(sys, "argv", ["score", *words])
        with pytest.raises(SystemExit) as ended:
            score.main()
        assert ended.value.code == 2
        assert reason in " ".join(capsys.readouterr().err.split())
    (photos / "labels.csv").write_text("file,years,gender\nnone.jpg,20,F\n")
    with pytest.raises(SystemExit):
        run(monkeypatch)
    assert "no image can be scored: no face was found: 1" in " ".join(capsys.readouterr().err.split())


def test_bins_of_ages_are_read_as_their_middle(photos):
    settings = params.load().tables["mine"]
    rows = pd.DataFrame({"file": ["a", "b"], "years": ["30-39", " 36.5"], "gender": ["F", "M"]})
    made, _ = table.records(rows, settings, ["a.jpg", "b.jpg"], bins=True)
    assert made[["age", "age_first", "age_last"]].to_numpy().tolist() == [[35, 30, 39], [36.5, 36.5, 36.5]]
    assert "age_first" not in table.records(rows, settings, ["a.jpg", "b.jpg"])[0]


@pytest.mark.parametrize("years", ["[39, 30]", "[30]", "[30, 39, 40]", "[30, 200]", "-1", "[a, b]"])
def test_a_bin_is_first_and_last_year(photos, edit, years):
    edit(r"30-39: \[30, 39\]", f"30-39: {years}")
    with pytest.raises(params.ParamsError, match=r"tables\.mine\.ages\.30-39.*\[first, last\] year of a bin"):
        params.load()


def test_years_outside_the_bin_and_intervals_that_meet_it():
    rows = pd.DataFrame({"age": [35.0, 35, 85.5], "age_first": [30.0, 30, 70], "age_last": [39.0, 39, 100]})
    rows = rows.assign(age_predicted=[41.0, 33, 60], age_low=[39.0, 20, 50], age_high=[50.0, 40, 69])
    errors = predictions.face_scores(rows, TARGETS["age"])
    assert errors["beyond"].tolist() == [2, 0, 10]
    assert errors["coverage"].tolist() == [1, 1, 0]
    assert "beyond" not in predictions.face_scores(rows.drop(columns=["age_first", "age_last"]), TARGETS["age"])


@pytest.mark.parametrize(
    ("boxes", "index"),
    [
        ([(0, 0, 10, 10)], 0),
        ([(0, 0, 90, 90), (40, 40, 60, 60)], 0),  # the second is nearer, and small
        ([(60, 0, 100, 40), (30, 30, 70, 70)], 1),
    ],
)
def test_the_large_face_nearest_to_the_middle_is_the_labelled_one(boxes, index):
    faces = [detection.Face(box, 1.0, np.zeros((5, 2))) for box in boxes]
    assert detection.central(faces, (100, 100)) is faces[index]
    assert detection.labelled_face(faces, (200, 200), largest=True) is faces[0]


def test_a_face_that_fills_the_photo_makes_it_a_crop():
    face = detection.Face((0, 0, 90, 90), 1.0, np.zeros((5, 2)))
    assert detection.labelled_face([face], (100, 100)) is None
    assert detection.labelled_face([face], (100, 300)) is None
    assert detection.labelled_face([face], (200, 200)) is face


def test_two_faces_as_near_to_the_middle_are_not_told_apart():
    faces = [detection.Face(box, 1.0, np.zeros((5, 2))) for box in ((10, 30, 50, 70), (50, 30, 90, 70))]
    with pytest.raises(ImageError, match=SEVERAL):
        detection.central(faces, (100, 100))
    with pytest.raises(ImageError, match="no face was found"):
        detection.labelled_face([], (100, 100))


def test_largest_errors_are_of_wrong_classes_by_probability():
    rows = pd.DataFrame({"face_id": list("abc"), "sex": ["male", "male", "female"], "sex_predicted": ["female"] * 3})
    rows = rows.assign(sex_p_female=[0.6, 0.9, 0.8], sex_p_male=[0.4, 0.1, 0.2])
    shown = scored_page.largest_errors(rows, TARGETS["sex"], 20)
    assert shown["image"].tolist() == ["b", "a"]
    assert shown["probability"].tolist() == ["0.90", "0.60"]


def test_a_contact_sheet_has_each_image_above_its_caption():
    images = [np.full((40, 40, 3), shade, np.uint8) for shade in (10, 100, 200)]
    sheet = np.asarray(contact_sheet.draw(images, ["a", "é", "c"], columns=2))
    assert sheet.shape == (2 * (40 + contact_sheet.CAPTION), 80, 3)
    assert [sheet[20, 20, 0], sheet[20, 60, 0], sheet[20 + 40 + contact_sheet.CAPTION, 20, 0]] == [10, 100, 200]
    assert sheet[40 : 40 + contact_sheet.CAPTION, :40].min() < 100
