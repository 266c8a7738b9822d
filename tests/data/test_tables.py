"""A user's own table: labels in CSV or Parquet, images in a folder, an archive or a column."""

import io
import json
import time
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from commands import check, fetch
from faces import params
from faces.data import archives, packs, records, tables
from faces.data.archives import ArchiveError
from faces.data.datasets import table
from faces.data.sample import drawing
from stages import clean, download, pack, read_table, split
from tests.conftest import ROOT, encoded

COLUMNS = {"image": "file", "age": "years", "sex": "gender", "identity": "person"}
CLASSES = {"sex": {"m": "male", "f": "female", "?": ""}}


@pytest.fixture
def mine(project, tmp_path_factory):
    """mine(rows, image_path, ...) writes a table called mine, reads it and returns its records."""
    folder = tmp_path_factory.mktemp("mine")

    def make(rows, image_path="photos", name="labels.csv", columns=COLUMNS, **settings):
        labels = folder / name
        frame = pd.DataFrame(rows)
        frame.to_parquet(labels) if name.endswith("parquet") else frame.to_csv(labels, index=False)
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        values["tables"] = {"mine": {"labels": str(labels), "columns": columns, "classes": CLASSES, **settings}}
        values["datasets"], values["budget"] = ["mine"], "real"
        values["parse_labels"]["datasets"] = values["convert_mat"]["datasets"] = []
        row = {"dataset": "mine", "variant": "cropped", "reader": "table", "images": str(folder / image_path)}
        values["variants"] = {"mine-cropped": row}
        model = values["models"]["utkface-cropped"] | {"dataset": "mine", "targets": ["age", "sex"]}
        values["models"] = {"mine": model}
        (project / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        params.load()
        download.main("mine", "cropped")
        read_table.main("mine")
        return records.read("data/records/mine.csv")

    make.folder = folder
    return make


def photos(folder, count=3, under="photos"):
    people = drawing.people(count, 9)
    (folder / under).mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(drawing.squares(count, 9, 60)):
        (folder / under / f"{i}.jpg").write_bytes(encoded(image))
    return [{"file": f"{i}.jpg", "years": p.age, "gender": p.sex[0], "person": f"p{i}"} for i, p in enumerate(people)]


def test_from_a_folder_to_a_split(mine):
    rows = photos(mine.folder, 60)
    faces = mine(rows)
    assert faces["face_id"].tolist() == sorted(f"photos/{i}.jpg" for i in range(60))
    assert (faces["reject"] == "").all()
    by_id = faces.set_index("face_id")
    assert by_id.loc["photos/7.jpg", ["age", "sex", "identity"]].tolist() == [
        rows[7]["years"],
        {"m": "male", "f": "female"}[rows[7]["gender"]],
        "p7",
    ]
    pack.main("mine", "cropped")
    clean.main("mine")
    split.main("mine")
    parts = records.read("data/splits/mine.csv")
    assert len(parts) == 60
    assert packs.Pack("data/packs/mine/cropped").manifest["kind"] == "own"


@pytest.mark.parametrize("wrap", ["zip", "tar", "parquet", "semicolon"])
def test_other_wrappings(mine, wrap, tmp_path):
    rows = photos(mine.folder, under="photos")
    if wrap == "zip":
        with zipfile.ZipFile(mine.folder / "photos.zip", "w") as archive:
            for path in (mine.folder / "photos").iterdir():
                archive.write(path, f"deep/down/{path.name}")
        faces = mine(rows, "photos.zip")
    elif wrap == "tar":
        archives.pack_folder(mine.folder / "photos", mine.folder / "photos.tar")
        faces = mine(rows, "photos.tar")
    elif wrap == "parquet":
        faces = mine(rows, name="labels.parquet")
    else:
        faces = mine(rows)
        text = (mine.folder / "labels.csv").read_text().replace(",", ";")
        (mine.folder / "labels.csv").write_text("\ufeff" + text)
        read_table.main("mine")
        assert records.read("data/records/mine.csv").equals(faces)
    assert (faces["reject"] == "").all()
    assert len(faces) == 3


def test_a_pixels_column_gives_pictures(mine):
    values = [" ".join(str((i * 7 + k) % 256) for k in range(48 * 48)) for i in range(3)]
    rows = [{"age": "26", "gender": "0", "pixels": text} for text in [*values, "1 2 3", "x"]]
    columns = {"age": "age", "sex": "gender"}
    faces = mine(rows, "labels.csv", columns=columns, classes={"sex": {"0": "male", "1": "female"}})
    assert faces["sex"].tolist() == ["male"] * 5
    pack.main("mine", "cropped")
    assert len(packs.Pack("data/packs/mine/cropped").face_ids) == 3
    assert records.read("data/packs/mine/cropped/rejects.csv")["reject"].tolist() == ["is empty", "is empty"]


def test_bad_rows_have_their_reasons_and_good_ones_stay(mine):
    rows = photos(mine.folder, 9)
    rows[0]["years"] = "young"
    rows[1]["years"] = 130
    rows[2]["gender"] = "x"
    rows[3]["file"] = "../labels.csv"
    rows[4]["file"] = "missing.jpg"
    rows[5]["years"], rows[5]["gender"] = "", "?"
    rows += [dict(rows[6]), {**rows[7], "years": 3}, {**rows[8], "file": ""}]
    faces = mine(rows).set_index("face_id")
    reasons = faces["reject"][faces["reject"] != ""].to_dict()
    assert reasons == {
        "": "names no image",
        "../labels.csv": "image's path leads out of its folder",
        "missing.jpg": "no such image",
        "photos/0.jpg": "age 'young' is no number of years",
        "photos/1.jpg": "age '130' is not 0 to 124",
        "photos/2.jpg": "sex 'x' is not one of male, female, m, f, ?",
        "photos/7.jpg": "2 rows of this image disagree",
    }
    assert pd.isna(faces.loc["photos/5.jpg", "age"])
    assert faces.loc["photos/5.jpg", "sex"] == ""


def test_ages_in_bins(mine):
    rows = [{**row, "years": "(25, 32)"} for row in photos(mine.folder)]
    assert mine(rows, ages={"(25, 32)": 28.5})["age"].tolist() == [28.5] * 3


def test_a_missing_file_is_reported_before_anything_runs(mine):
    mine(photos(mine.folder))
    assert check.absent(params.load()) == []
    (mine.folder / "labels.csv").unlink()
    with pytest.raises(SystemExit, match=r"params.yaml:\d+: tables.mine.labels: .*labels.csv is missing"):
        check.main()


def test_an_ambiguous_picture_name_is_rejected(mine):
    rows = photos(mine.folder, under="photos/a")
    photos(mine.folder, under="photos/b")
    faces = mine([{**row, "file": f"a/{row['file']}"} for row in rows[:2]] + [rows[2]])
    assert faces["reject"].tolist() == ["image's name fits several", "", ""]


def test_faults_in_the_whole_table_are_reported(mine):
    rows = photos(mine.folder)
    with pytest.raises(ArchiveError, match=r"has no column 'year', which tables.mine.columns.age in params.yaml names"):
        mine(rows, columns={**COLUMNS, "age": "year"})
    with pytest.raises(ArchiveError, match=r"no row can be used: 3 x sex 'm'|no row can be used: . x sex"):
        mine(rows, classes={})
    with pytest.raises(ArchiveError, match="has no rows"):
        mine(pd.DataFrame(rows).iloc[:0])
    with pytest.raises(ArchiveError, match="nowhere: does not exist"):
        mine(rows, "nowhere")
    with pytest.raises(ArchiveError, match="cannot be read as a table"):
        tables.load(mine.folder / "none.csv")
    with pytest.raises(params.ParamsError, match=r"models.mine.targets.1: tables.mine.columns names no"):
        mine(rows, columns={"image": "file", "age": "years"})
    with pytest.raises(params.ParamsError, match=r"tables.mine.classes.sex.m: 'man' is not one of male, female"):
        mine(rows, classes={"sex": {"m": "man"}})


def test_a_split_column_is_kept_and_missing_parts_come_from_training(mine):
    rows = photos(mine.folder, 80)
    for i, row in enumerate(rows):
        row["part"] = "Test" if i < 20 else "training"
    rows[0]["person"] = rows[30]["person"]  # this person would be in two parts
    mine(rows, columns={**COLUMNS, "split": "part"})
    pack.main("mine", "cropped")
    clean.main("mine")
    split.main("mine")
    parts = records.read("data/splits/mine.csv").set_index("face_id")["part"]
    assert {face for face, part in parts.items() if part == "test"} == {f"photos/{i}.jpg" for i in range(20)}
    assert set(parts) == {"train", "val", "calibration", "test"}
    assert "photos/30.jpg" not in parts.index
    balance = json.loads(Path("data/splits/mine-balance.json").read_text())
    assert (balance["left_out_as_tied_to_another_part"], balance["left_out"]) == (1, 1)


def test_unusual_pictures_are_used_or_rejected_with_a_reason(mine):
    photos(mine.folder, 1)
    whole = encoded(drawing.squares(1, 8, 60)[0])
    image = Image.open(io.BytesIO(whole))
    files = {
        "png.jpg": encoded(image, "PNG"),
        "moving.gif": encoded(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
        "empty.jpg": b"",
        "cut.jpg": whole[: len(whole) // 2],
        "text.png": b"hello",
    }
    for name, content in files.items():
        (mine.folder / "photos" / name).write_bytes(content)
    mine([{"file": name, "years": 30, "gender": "m", "person": name} for name in files])
    pack.main("mine", "cropped")
    clean.main("mine")
    assert {"photos/png.jpg", "photos/moving.gif"} <= set(packs.Pack("data/packs/mine/cropped").face_ids)
    reasons = records.read("data/clean/mine/rejects.csv").set_index("face_id")["reject"]
    assert reasons["photos/empty.jpg"] == "image is empty"
    assert reasons["photos/cut.jpg"].startswith("image cannot be decoded")
    assert reasons["photos/text.png"] == "image is no image"


def test_a_large_table_is_read_in_seconds(mine):
    names = [f"photos/{i}.jpg" for i in range(100_000)]
    columns = params.Columns(image="file", age="years")
    settings = params.Table(labels="x.csv", columns=columns)
    rows = pd.DataFrame({"file": [f"{i}.jpg" for i in range(100_000)], "years": "30"})
    started = time.process_time()
    faces = table.records(rows, settings, names)
    assert time.process_time() - started < 10
    assert faces["face_id"].tolist() == sorted(names)


def test_fetch_reads_ones_own_images_again(mine, capsys, monkeypatch):
    mine(photos(mine.folder))
    commands = []
    monkeypatch.setattr(fetch.subprocess, "run", lambda command, check: commands.append(command) or Done)
    fetch.main()
    assert f"mine-cropped: your own, {mine.folder / 'photos'}" in capsys.readouterr().out
    assert [command[-2:] for command in commands] == [["--force", "download@mine-cropped"]]


class Done:
    returncode = 0
