"""Stages from archives to splits, on faces drawn small; bad archives and bad addresses."""

import json

import numpy as np
import pandas as pd
import pytest

from stages import clean, compare, convert_mat, download, pack, parse_labels, split
from stages.lib import packs, records
from tests.conftest import encoded, picture


@pytest.fixture
def drawn(project, edit):
    edit(r"^  faces: \d+", "  faces: 200")
    for dataset in ("utkface", "wiki"):
        download.main(dataset, "cropped")
        pack.main(dataset, "cropped")
    parse_labels.main("utkface")
    convert_mat.main("wiki")
    for dataset in ("utkface", "wiki"):
        clean.main(dataset)
        split.main(dataset)
    return project


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_sample_has_its_quirks_and_they_are_caught(drawn):
    rejects = records.read("data/clean/utkface/rejects.csv")["reject"]
    assert rejects.str.startswith("copy of").sum() == 6  # 3 byte-identical and 3 near copies among 200
    assert rejects.str.contains("cannot be decoded").sum() == 2
    assert rejects.str.contains("name without").sum() == 1
    faces = records.read("data/clean/utkface/faces.csv")
    assert (faces["copies"] > 1).sum() == 6
    assert len(faces) == 200 - 2 - 1
    funnel = pd.read_csv("data/records/wiki-funnel.csv").set_index("filter")["dropped"]
    assert (funnel.drop("all rows") > 0).all()
    reasons = json.loads((drawn / "data/clean/wiki/summary.json").read_text())["rejected"]
    assert reasons["no cropped picture"] == 2
    assert reasons["picture is empty"] == 1


def test_drawn_strangers_are_not_taken_for_copies(drawn):
    wiki = records.read("data/clean/wiki/faces.csv")
    assert (wiki["copies"] == 1).all()
    tied = wiki[wiki["group"] != wiki["face_id"]]
    assert 0 < len(tied) < 20  # people of one name stand together


def test_no_group_is_divided(drawn):
    for dataset in ("utkface", "wiki"):
        rows = records.read(f"data/splits/{dataset}.csv")
        assert (rows.groupby("group")["part"].nunique() == 1).all()
        assert set(rows["part"]) == {"train", "val", "calibration", "test"}


def test_a_second_run_gives_the_same_bytes(drawn):
    before = contents(drawn / "data")
    for stage, args in ((download, ("utkface", "cropped")), (pack, ("utkface", "cropped"))):
        stage.main(*args)
    parse_labels.main("utkface")
    clean.main("utkface")
    split.main("utkface")
    assert contents(drawn / "data") == before


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


def test_copies_settle_their_labels():
    rows = records.frame(
        pd.DataFrame(
            {
                "face_id": ["a", "b", "c", "d", "e"],
                "age": [20.0, 24.0, 50.0, 10.0, np.nan],
                "sex": ["male", "male", "male", "female", "female"],
                "ethnicity": ["white", "black", "white", "", "indian"],
                "identity": "",
                "reject": "",
            }
        )
    )
    hashes = np.array([0, 1, 0b11, 0xFF << 40, 0xFF << 50], np.uint64)
    faces, copies, conflicts = clean.group(rows, hashes, np.array(["1", "2", "3", "4", "4"]), 1, 5)
    assert faces["face_id"].tolist() == ["a", "d"]
    assert copies["reject"].tolist() == ["copy of a", "copy of a", "copy of d"]
    assert np.isnan(faces["age"].iloc[0])  # 20 to 50 is too far apart
    assert faces["ethnicity"].tolist() == ["", ""]
    assert faces["age"].iloc[1] == 10  # one known label among the copies
    assert set(conflicts["target"]) == {"age", "ethnicity"}


def test_close_ages_give_their_median():
    rows = records.frame(pd.DataFrame({"face_id": ["a", "b"], "age": [20.0, 24.0], "sex": ["male"] * 2}))
    assert list(clean.settle(rows, pd.Series(["a", "a"]), 5)) == [
        {"face_id": "a", "target": "age", "labels": "20.0 24.0", "kept": 22.0}
    ]


def test_packs_are_read_by_id(tmp_path):
    rows = [pack.pack_picture(f"f{i}", encoded(picture(i)), "cropped", 32, 90, 0.4, None) for i in range(5)]
    shards = packs.write(rows, tmp_path, 2)
    assert [shard["faces"] for shard in shards] == [2, 2, 1]
    (tmp_path / "pack.json").write_text(json.dumps({"shards": shards}))
    found = packs.Pack(tmp_path)
    assert found.rows(["f3", "none"]).tolist() == [3, -1]
    assert found.images(np.array([4, 0])) == [rows[4]["image"], rows[0]["image"]]
    assert packs.Pack(tmp_path).column("phash").tolist() == [row["phash"] for row in rows]


def test_a_dataset_without_crops_is_cropped_by_its_boxes():
    content = encoded(picture(size=(100, 80)), "PNG")
    row = pack.pack_picture("f", content, "cropped", 32, 90, 0.0, {"f": (10, 10, 42, 42)})
    assert (row["width"], row["height"]) == (100, 80)
    assert pack.pack_picture("g", content, "cropped", 32, 90, 0.0, {})["reject"] == "no face box"


def test_reports_of_a_model_that_is_left_out_go_with_it(tmp_path):
    for name in ("kept", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scores.csv").write_text("x\n")
        (tmp_path / f"{name}.json").write_text("{}")
    compare.forget(tmp_path, ["kept"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "kept.json"]
