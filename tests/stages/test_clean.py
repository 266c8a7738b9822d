"""Copies of one photo: one is kept, and their labels are reconciled."""

import numpy as np
import pandas as pd
from PIL import Image

from faces.data import packs, records
from stages import clean, pack
from tests.conftest import encoded, picture


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
    near = np.array([[0, 1], [1, 2]])
    faces, duplicates, conflicts = clean.group(rows, near, np.array(["1", "2", "3", "4", "4"]), 5)
    assert faces["face_id"].tolist() == ["a", "d"]
    assert duplicates["reject"].tolist() == ["copy of a", "copy of a", "copy of d"]
    assert np.isnan(faces["age"].iloc[0])  # 20 to 50 is too far apart
    assert faces["ethnicity"].tolist() == ["", "indian"]
    assert faces["age"].iloc[1] == 10  # one known label among the copies
    assert set(conflicts["target"]) == {"age", "ethnicity"}


def test_a_label_that_only_another_copy_has_is_kept():
    rows = records.frame(
        pd.DataFrame(
            {
                "face_id": ["a", "b", "c"],
                "age": [np.nan, 24.0, np.nan],
                "sex": ["", "", "female"],
                "ethnicity": "",
                "identity": "",
                "reject": "",
            }
        )
    )
    faces, _, conflicts = clean.group(rows, np.array([[0, 1]]), np.array(["1", "2", "2"]), 5)
    assert faces[["face_id", "age", "sex", "ethnicity"]].values.tolist() == [["a", 24.0, "female", ""]]
    assert len(conflicts) == 0


def test_close_ages_give_their_median():
    rows = records.frame(pd.DataFrame({"face_id": ["a", "b"], "age": [20.0, 24.0], "sex": ["male"] * 2}))
    assert list(clean.reconcile(rows, pd.Series(["a", "a"]), 5)) == [
        {"face_id": "a", "target": "age", "labels": "20.0 24.0", "kept": 22.0}
    ]


def test_images_without_detail_are_left_out_and_counted(project):
    contents = [encoded(picture(seed, (104, 104))) for seed in range(3)] + [
        encoded(Image.new("RGB", (104, 104), "red"))
    ]
    lot = [(f"f{i}", content, None) for i, content in enumerate(contents)]
    folder = project / "data/packs/utkface/cropped"
    shards = packs.write(pack.pack_images(lot, "cropped", 104, 92, False, 0.4), folder, 9)
    records.write_json({"kind": "real", "variant": "cropped", "side": 104, "shards": shards}, folder / packs.MANIFEST)
    records.write(pd.DataFrame(columns=["face_id", "reject"]), folder / "rejects.csv")
    rows = pd.DataFrame({"face_id": [face for face, *_ in lot], "age": 30.0, "sex": "male", "reject": ""})
    records.write(records.frame(rows), project / "data/records/utkface.csv")
    clean.main("utkface")
    assert records.read(project / "data/clean/utkface/faces.csv")["face_id"].tolist() == ["f0", "f1", "f2"]
    summary = records.read_json(project / "data/clean/utkface/summary.json")
    assert (summary["rejected"], summary["left_out"]) == ({"image has no detail": 1}, {"image has no detail": 1})
