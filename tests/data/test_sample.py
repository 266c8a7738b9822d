"""The sample: its quirks are caught, and a second run gives the same bytes."""

import datetime
import json

import numpy as np
import pandas as pd

from faces.data import records
from faces.data.datasets import utkface, wiki
from stages import clean, download, pack, parse_labels, split


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def taken(face_id):
    """Time in a UTKFace name: 61 seconds later for each synthetic face, copies after all faces."""
    return datetime.datetime.strptime(face_id[:14], "%Y%m%d%H%M%S")


def test_the_sample_has_its_quirks_and_they_are_caught(sampled):
    dropped = records.read("data/clean/utkface/rejects.csv")
    rejects = dropped["reject"]
    duplicates = dropped[rejects.str.startswith("copy of")]
    apart = duplicates["face_id"].map(taken) - duplicates["reject"].str.removeprefix("copy of ").map(taken)
    # 3 byte-identical and 3 near copies among 200, and one pair of synthetic strangers whose hair and face are alike
    assert (apart.dt.total_seconds() // 61).isin((200, 400)).sum() == 6
    assert len(duplicates) == 7
    assert rejects.str.contains("cannot be decoded").sum() == 2
    assert rejects.str.contains("name without").sum() == 1
    faces = records.read("data/clean/utkface/faces.csv")
    assert len(faces) == 200 - 2 - 1 - (len(duplicates) - 6)
    assert (faces["images"] > 1).sum() == len(duplicates)
    funnel = pd.read_csv("data/records/wiki-funnel.csv").set_index("filter")["dropped"]
    assert (funnel.drop("all rows") > 0).all()
    reasons = json.loads((sampled / "data/clean/wiki/summary.json").read_text())["rejected"]
    assert reasons["no cropped image"] == 2
    assert reasons["image is empty"] == 1


def test_boxes_and_framings_are_there_for_every_dataset(sampled):
    assert (sampled / "data/boxes/utkface.csv").read_text() == "face_id,left,top,right,bottom\n"
    boxes, faces = records.read(sampled / "data/boxes/wiki.csv"), records.read(sampled / "data/records/wiki.csv")
    assert set(boxes["face_id"]) == set(faces["face_id"][np.isfinite(faces["face_score"])]) - {""}
    assert (boxes["right"] > boxes["left"]).all()
    for dataset, module in (("utkface", utkface), ("wiki", wiki)):
        manifest = records.read_json(sampled / "data/packs" / dataset / "cropped/pack.json")
        assert manifest["framing"] == module.FRAMING.tolist()


def test_drawn_strangers_are_not_taken_for_copies(sampled):
    rows = records.read("data/clean/wiki/faces.csv")
    assert (rows["images"] == 1).all()
    tied = rows[rows["group"] != rows["face_id"]]
    assert 0 < len(tied) < 20  # people of one name stand together


def test_no_group_is_divided(sampled):
    for dataset in ("utkface", "wiki"):
        rows = records.read(f"data/splits/{dataset}.csv")
        assert (rows.groupby("group")["part"].nunique() == 1).all()
        assert set(rows["part"]) == {"train", "val", "calibration", "test"}


def test_a_second_run_gives_the_same_bytes(sampled):
    before = contents(sampled / "data")
    for stage, args in ((download, ("utkface", "cropped")), (pack, ("utkface", "cropped"))):
        stage.main(*args)
    parse_labels.main("utkface")
    clean.main("utkface")
    split.main("utkface")
    assert contents(sampled / "data") == before
