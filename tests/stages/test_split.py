"""Parts: stable, balanced, by group, or as published."""

import io
import json
import math
import os
import signal
import tarfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from faces import params
from faces.data import archives, records
from stages import split
from tests.conftest import encoded


def test_parts_are_stable_when_faces_come_and_go():
    ids = pd.Series([f"face{i}" for i in range(2000)])
    parts = split.assign_parts(ids, 0.1, 0.1, 0.05, 0)
    fewer = split.assign_parts(ids[::3], 0.1, 0.1, 0.05, 0)
    assert (parts[::3] == fewer).all()
    shares = parts.value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.75, abs=0.03)
    assert shares["test"] == pytest.approx(0.10, abs=0.02)
    assert (split.assign_parts(ids, 0.1, 0.1, 0.05, 1) != parts).any()
    without = split.assign_parts(ids, 0.1, 0.1, 0.0, 0)
    assert ((without == parts) | (parts == "calibration")).all()


ASTRONAUT = "20170116172300001_45_1_0"
CHIPS = params.Variant(dataset="utkface", variant="cropped", reader="utkface")
TABLE = params.Variant(dataset="mine", variant="cropped", reader="table", images="/data/faces")


def photos_of(project, edit, **photos):
    """Archives of UTKFace's photos by name, as download leaves them for utkface-detected."""
    edit(
        r"^  utkface-full: .*",
        "  utkface-full: {dataset: utkface, variant: full, reader: utkface}\n"
        "  utkface-detected: {dataset: utkface, variant: detected, reader: utkface}",
    )
    folder = project / "data/raw/utkface/detected"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "part1.tar.gz", "w:gz") as archive:
        for name, pixels in photos.items():
            content = encoded(Image.fromarray(pixels), "PNG")
            info = tarfile.TarInfo(f"part1/{name}.jpg")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    (folder / "provenance.json").write_text(json.dumps({"kind": "real", "archives": [{"name": "part1.tar.gz"}]}))


def slow_at_first(lot, more):
    time.sleep(0.3 if lot[0][0] == "0" else 0)
    return [name + more for name, _ in lot]


def killed(item):
    os.kill(os.getpid(), signal.SIGKILL)


def test_folds_have_like_faces_and_keep_groups_whole():
    rng = np.random.default_rng(0)
    faces = pd.DataFrame(
        {"age": rng.choice([10.0, 30.0, 60.0, np.nan], 600), "sex": rng.choice(["male", "female", ""], 600)}
    )
    groups = pd.Series([f"g{i // 2}" for i in range(600)])
    folds = [split.in_fold(faces, groups, 5, fold, 3) for fold in range(5)]
    assert (sum(fold.astype(int) for fold in folds) == 1).all()
    for fold in folds:
        assert (pd.Series(fold).groupby(groups).nunique() == 1).all()
        assert abs(fold.sum() - 120) <= 2
        for column, value in (("age", 10.0), ("age", 60.0), ("sex", "male"), ("sex", "")):
            inside = (faces[column] == value).to_numpy()
            assert abs((fold & inside).sum() - inside.sum() / 5) <= 6
    assert (split.in_fold(faces, groups, 5, 0, 3) == folds[0]).all()
    assert (split.in_fold(faces, groups, 5, 0, 4) != folds[0]).any()


def test_the_stage_tests_each_face_in_one_fold(project, edit):
    ids = [f"f{i:04d}" for i in range(1000)]
    clean_faces(project, ids, group=[f"g{i // 2}" for i in range(1000)], age=30.0, sex=["male", "female"] * 500)
    edit(r"^  folds: \d+", "  folds: 5")
    tested = []
    for fold in range(5):
        edit(r"^  fold: \d+", f"  fold: {fold}")
        _, parts, report = divided(project)
        tested += parts.index[parts == "test"].tolist()
        assert report["faces"]["test"] == 200
        assert report["faces"]["val"] == pytest.approx(100, abs=25)  # a share of all faces
        assert report["faces"]["calibration"] == pytest.approx(50, abs=20)
        assert report["moved_with_their_group"] == []
    assert sorted(tested) == ids


def published(sampled, entries, name="split.json", **settings):
    faces = records.read("data/clean/utkface/faces.csv")
    path = sampled / name
    if name.endswith("json"):
        path.write_text(json.dumps(entries(faces["face_id"])))
    else:
        pd.DataFrame(entries(faces["face_id"])).to_csv(path, index=False)
    folds = [params.Fold(train=[0, 1], val=[2], test=[3]), params.Fold(train=[2, 3], val=[0], test=[1])]
    return params.Published(
        **{"file": str(path), "folds": folds, "image": "img_path", "part": "folder"} | settings
    ), faces["face_id"]


def as_published(face):
    time, age, sex, race = face.split("_")
    return f"UTKFace/UTKFace/{age}_{sex}_{race}_{time}.jpg.chip.jpg"


def test_the_balance_counts_ages_and_parts_in_their_order():
    faces = pd.DataFrame({"age": [30, 100, 5, 7], "sex": ["male", "female", "", "male"], "ethnicity": ""})
    result = split.balance(faces.assign(part=["test", "train", "train", "val"]))
    assert [row["by"] for row in result] == ["age", "sex"]
    assert list(result[0]["counts"]) == ["0-24", "25-49", "100-124"]
    assert list(result[0]["counts"]["0-24"].items()) == [("train", 1), ("val", 1), ("test", 0)]


@pytest.mark.parametrize("name", ["split.json", "split.csv"])
def test_a_published_split_is_read(sampled, name):
    def entries(ids):
        return [{"img_path": as_published(face), "age": 1, "folder": i % 4} for i, face in enumerate(ids[:100])]

    source, ids = published(sampled, entries, name)
    values, message = split.published(ids, source, CHIPS)
    assert message == {"published_rows": 100, "published_rows_with_a_face": 100}
    part = split.parts_of_fold(values, source.folds[1], "split.json")
    lacking = source.folds[1].model_copy(update={"test": [1, 9]})
    with pytest.raises(archives.ArchiveError, match=r"split.json: has no part '9' with a face, .*; it has 0, 1, 2, 3"):
        split.parts_of_fold(values, lacking, "split.json")
    assert part.tolist() == (["val", "test", "train", "train"] * 25 + [""] * (len(ids) - 100))
    whole = split.complete(part, ids, 0.1, 0.2, 0)
    assert set(whole) == {"", "val", "test", "train", "calibration"}
    assert ((whole == part) | (part == "train")).all()


def test_a_published_split_that_is_none_is_named(sampled):
    source, ids = published(sampled, lambda ids: [{"img_path": "other.jpg", "folder": 0}])
    with pytest.raises(archives.ArchiveError, match=r"names none of these faces; the first is 'other\.jpg'"):
        split.published(ids, source, CHIPS)
    source, ids = published(sampled, lambda ids: [{"path": "other.jpg", "folder": 0}])
    with pytest.raises(archives.ArchiveError, match=r"has no 'img_path'; it has path, folder"):
        split.published(ids, source, CHIPS)
    source, ids = published(sampled, lambda ids: {"a": 1})
    with pytest.raises(archives.ArchiveError, match="is not a list of entries"):
        split.published(ids, source, CHIPS)


def test_nobody_stands_on_both_sides_of_a_published_split():
    groups = pd.Series(["a", "a", "b", "b", "c"])
    part, count = split.keep_apart(groups, pd.Series(["train", "test", "val", "train", "train"]))
    assert part.tolist() == ["", "test", "val", "", "train"]
    assert count == 2


def test_a_part_that_matters_more_keeps_its_group_and_unused_faces_are_not_counted():
    pairs = [("", "train"), ("train", "calibration"), ("calibration", "val"), ("val", "test"), ("test", "test")]
    part = pd.Series([part for pair in pairs for part in pair])
    kept, count = split.keep_apart(pd.Series(np.repeat(list("abcde"), 2)), part)
    assert kept.tolist() == ["", "train", "", "calibration", "", "val", "", "test", "test", "test"]
    assert count == 3


@pytest.fixture
def placed(monkeypatch):
    """Groups whose name is their place, so that parts can be told by hand."""
    monkeypatch.setattr(split, "place_of", lambda group, seed: float(group))


def test_parts_lie_one_after_the_other(placed):
    groups = pd.Series(["0", "0.124", "0.125", "0.374", "0.375", "0.499", "0.5", "0.999"])
    parts = ["test", "test", "val", "val", "calibration", "calibration", "train", "train"]
    assert split.assign_parts(groups, 0.25, 0.125, 0.125, 0).tolist() == parts


def test_a_place_is_the_first_digits_of_a_hash():
    """`printf 0:f0 | sha256sum` begins with 410f6ca38917ab; 7 bytes are 14 digits."""
    assert split.place_of("f0", 0) == 0x410F6CA38917AB / 16**14
    assert split.place_of("f0", 1) != split.place_of("f0", 0) != split.place_of("f1", 0)


def test_what_a_published_split_lacks_is_taken_from_training_alone(placed):
    groups = pd.Series(["0.1", "0.3", "0.6", "0.1", "0.1"], index=[7, 3, 5, 1, 9])
    part = pd.Series(["train", "train", "train", "test", ""], index=groups.index)
    whole = split.complete(part, groups, 0.25, 0.25, 0)
    assert whole.to_dict() == {7: "val", 3: "calibration", 5: "train", 1: "test", 9: ""}
    part[9] = "val"  # with validation of its own, calibration comes first
    whole = split.complete(part, groups, 0.25, 0.25, 0)
    assert whole.to_dict() == {7: "calibration", 3: "train", 5: "train", 1: "test", 9: "val"}


@pytest.mark.parametrize("text", ["{", "{}", "[]", "[1]", '[{"a": 1}, 2]', None, "[" * 100_000])
def test_entries_that_are_none_are_refused(tmp_path, text):
    path = tmp_path / "split.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(archives.ArchiveError, match=r"split\.json: (is not a list of entries|cannot be read: )"):
        split.read_json(path)


def test_a_published_split_of_a_table_names_pictures_by_the_end_of_their_path(tmp_path):
    path = tmp_path / "split.csv"
    pd.DataFrame({"img_path": ["a.jpg", "faces/x/y/b.jpg", "other.jpg"], "folder": [0, 1, 2]}).to_csv(path, index=False)
    ids = pd.Series(["x/a.jpg", "x/y/b.jpg", "x/c.jpg"])
    values, message = split.published(
        ids, params.Published(file=str(path), folds=[], image="img_path", part="folder"), TABLE
    )
    assert values.tolist() == ["0", "1", ""]
    assert message == {"published_rows": 3, "published_rows_with_a_face": 2}


def read_published(tmp_path, text, variant=TABLE, ids=("a.jpg", "b.jpg"), name="split.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    source = params.Published(file=str(tmp_path / name), folds=[], image="image", part="part")
    values, counts = split.published(pd.Series(ids), source, variant)
    return values.tolist(), counts["published_rows_with_a_face"]


def test_a_published_split_has_one_part_for_a_face(tmp_path):
    assert read_published(tmp_path, "image,part\na.jpg,1\nb.jpg,2\na.jpg,1.0\n") == (["1", "2"], 2)
    with pytest.raises(archives.ArchiveError, match=r"split.csv: has 1 faces in more than one part, such as 'a.jpg'"):
        read_published(tmp_path, "image,part\na.jpg,1\nb.jpg,2\nx/a.jpg,1\na.jpg,3\n")
    for columns in ("image,part,part", "image,part,image"):
        with pytest.raises(
            archives.ArchiveError, match=rf"has more than one '\w+'; it has {columns.replace(',', ', ')}"
        ):
            read_published(tmp_path, f"{columns}\na.jpg,1,2\n")


def test_gaps_in_the_json_of_a_published_split_are_no_names_or_parts(tmp_path):
    entries = [{"image": "a.jpg", "part": 1}, {"image": None, "part": 2}, {"image": "b.jpg", "part": None}, {"part": 3}]
    assert read_published(tmp_path, json.dumps(entries), name="split.json") == (["1", ""], 2)


def test_a_published_split_may_name_images_as_windows_does(tmp_path):
    text = f"image,part\n UTKFace\\{as_published(ASTRONAUT)} ,0\n"
    assert read_published(tmp_path, text, CHIPS, [ASTRONAUT]) == (["0"], 1)


def test_a_value_of_a_published_split_is_in_one_part_of_a_fold(project, edit):
    edit(
        r"^  from: \{\}",
        "  from: {utkface: {file: split.json, image: img_path, part: folder, folds: ["
        '{train: [0, 0], val: [1], test: [2]}, {train: [1, "2"], val: [3], test: [2]}]}}',
    )
    with pytest.raises(params.ParamsError, match=r"split.from.utkface.folds.1: 2 is in more than one part"):
        params.load()


def test_balance_is_tested_by_chi_square():
    """Yates: four cells of 15 expected and 10 or 20 seen make 4 x 4.5 ** 2 / 15 = 5.4, of one degree of freedom."""
    part = np.repeat(["train", "test", "train", "test"], [10, 20, 20, 10])
    faces = pd.DataFrame({"age": np.nan, "sex": ["male"] * 30 + ["female"] * 30, "ethnicity": "white", "part": part})
    (row,) = split.balance(faces)  # no age is known, and one ethnicity tells nothing
    assert row["by"] == "sex"
    assert row["counts"] == {"male": {"train": 10, "test": 20}, "female": {"train": 20, "test": 10}}
    assert row["p"] == pytest.approx(math.erfc(math.sqrt(5.4 / 2)))


def clean_faces(project, ids, **columns):
    rows = pd.DataFrame({"face_id": ids, "group": ids, "published": "", "age": 30.0, "sex": "male", "ethnicity": ""})
    rows = rows.assign(**columns)
    records.write(rows, project / "data/clean/utkface/faces.csv")
    return rows


def divided(project):
    """What `split` says and writes: its lines, the parts by face, and the report."""
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split.progress, "say", lines.append)
        split.main("utkface")
    rows = records.read(project / "data/splits/utkface.csv")
    return lines, rows.set_index("face_id")["part"], json.loads(Path("data/splits/utkface-balance.json").read_text())


def test_the_stage_says_which_faces_their_group_moved_and_what_is_out_of_balance(project, edit, placed):
    edit(r"^  val: 0.10", "  val: 0.25")
    edit(r"^  test: 0.10", "  test: 0.25")
    edit(r"^  calibration: 0.05", "  calibration: 0.25")
    edit(r"^  ages: .*?\]", "  ages: [10, 40]")
    young = ["0.13", "0.14", "0.15", "0.16"]
    ids = ["0.1", "0.3", "0.6", "0.8", "0.9", "0.11", "0.12", *young, "0.31"]
    clean_faces(
        project, ids, group=["0.1", "0.1", "0.8", "0.8", "0.2", "0.2", "0.2", *young, "0.31"],
        age=[10, 40, np.nan, 30, 9.9, 40.1, 30, 1, 2, 3, 4, 30],
    )  # fmt: skip
    lines, parts, report = divided(project)
    assert parts.to_dict() == {"0.1": "test", "0.3": "test", "0.6": "train", "0.8": "train", "0.12": "test",
                               "0.31": "val"}  # fmt: skip
    assert report["faces"] == {"train": 2, "val": 1, "calibration": 0, "test": 3}
    assert report["left_out"] == 6
    assert report["moved_with_their_group"] == []  # not told where faces are left out
    edit(r"^  ages: .*?\]", "  ages: [0, 124]")
    lines, parts, report = divided(project)
    assert len(parts) == 12
    assert report["moved_with_their_group"] == ["0.3", "0.6", "0.9"]  # alone: val, calibration, train
    assert "left_out" not in report
    assert not any("by more than chance" in line for line in lines)
    edit(r"^  by: group", "  by: face")
    _, parts, report = divided(project)
    assert parts[["0.1", "0.3", "0.6", "0.8"]].tolist() == ["test", "val", "calibration", "train"]
    assert report["moved_with_their_group"] == []
    clean_faces(project, [f"0.{i:03d}1" for i in range(1000)], sex=["male"] * 300 + ["female"] * 700)
    lines, _, report = divided(project)
    assert "left_out" not in report
    assert [line.split(" (p")[0] for line in lines[1:]] == ["utkface: the parts differ in sex by more than chance"]


def test_the_stage_takes_the_fold_of_a_published_split(project, edit):
    edit(
        r"^  from: \{\}",
        "  from: {utkface: {file: split.json, image: img_path, part: folder, folds: ["
        "{train: [0], val: [1], test: [2]}, {train: [1], val: [2], test: [0]}]}}",
    )
    edit(r"^  calibration: 0.05", "  calibration: 0.0")
    edit(r"^  fold: 0", "  fold: 1")
    ids = [f"2017011617452512{i}_30_0_0" for i in range(8)]
    clean_faces(project, ids, group=[ids[1], *ids[1:]])  # the first two are one person's
    entries = [{"img_path": as_published(face), "folder": i % 3} for i, face in enumerate(ids[:7])]
    Path("split.json").write_text(json.dumps([*entries, {"img_path": as_published("1_1_1_1"), "folder": 0}]))
    lines, parts, report = divided(project)
    assert parts.to_dict() == {ids[0]: "test", ids[2]: "val", ids[3]: "test", ids[4]: "train", ids[5]: "val",
                               ids[6]: "test"}  # fmt: skip
    assert {key: value for key, value in report.items() if key not in ("faces", "balance")} == {
        "published_rows": 8, "published_rows_with_a_face": 7, "left_out_as_tied_to_another_part": 1, "left_out": 2,
        "moved_with_their_group": [],
    }  # fmt: skip
    assert "; left out as tied to another part: 1; left out: 2" in lines[0]


def test_parts_that_a_table_names_are_read_in_any_case(project, edit):
    edit(r"^  calibration: 0.05", "  calibration: 0.0")
    ids = [f"f{i}" for i in range(8)]
    words = ["train", " Training", "TEST", "testing ", "val", "Valid", "validation", "dev"]
    clean_faces(project, [*ids, "f8"], published=[*words, ""])
    _, parts, report = divided(project)
    assert parts.tolist() == ["train"] * 2 + ["test"] * 2 + ["val"] * 4
    assert (report["left_out"], report["left_out_as_tied_to_another_part"]) == (1, 0)
    clean_faces(project, [*ids, "f8", "f9"], published=[*words, "holdout", "0"])
    with pytest.raises(SystemExit, match=r"with 'holdout' \(1 faces\), '0' \(1 faces\): .*classes.split must say"):
        divided(project)


def test_a_split_without_a_part_is_an_error(project):
    clean_faces(project, list("abcd"), published=["train", "train", "val", "val"])
    with pytest.raises(
        SystemExit, match=r"utkface: no face is for test; there are 4 in 4 groups .*, by part: train: 2; val: 2"
    ):
        divided(project)


def test_ages_outside_the_range_are_left_out(project, edit):
    edit(r"^  ages: .*?\]", "  ages: [16, 60]")
    ids = [f"{i}" for i in range(100)]
    clean_faces(project, [*"ad", *ids], age=[15.0, 61.0, 16.0, np.nan, *[60.0] * 98])
    _, parts, report = divided(project)
    assert set(parts.index) == set(ids)
    assert report["left_out"] == 2
