"""A user's own table: labels in CSV or Parquet, images in a folder, an archive or a column."""

import gzip
import io
import json
import shutil
import subprocess
import sys
import time
import unicodedata
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
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
        place = image_path if "://" in str(image_path) else str(folder / image_path)
        row = {"dataset": "mine", "variant": "cropped", "reader": "table", "images": place}
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
    assert faces["face_id"].tolist() == sorted(f"{i}.jpg" for i in range(60))
    assert (faces["reject"] == "").all()
    by_id = faces.set_index("face_id")
    assert by_id.loc["7.jpg", ["age", "sex", "identity"]].tolist() == [
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
    values[1], values[2] = values[1].replace(" ", ","), f"[{values[2].replace(' ', ', ')}]"
    bad = ["1 2 3", "x", "1.5 2", "9" * 30, ""]
    rows = [{"age": "26", "gender": "0", "pixels": text} for text in [*values, *bad]]
    columns = {"age": "age", "sex": "gender"}
    faces = mine(rows, "labels.csv", columns=columns, classes={"sex": {"0": "male", "1": "female"}})
    assert faces["sex"].tolist() == ["male"] * 8
    pack.main("mine", "cropped")
    assert len(packs.Pack("data/packs/mine/cropped").face_ids) == 3
    assert packs.Pack("data/packs/mine/cropped").column("brightness").std() < 10
    reasons = records.read("data/packs/mine/cropped/rejects.csv")["reject"].tolist()
    assert reasons == ["is no image"] * 4 + ["is empty"]


@pytest.mark.parametrize("kind", ["files", "bytes"])
def test_a_parquet_file_may_hold_the_images(mine, kind):
    rows = photos(mine.folder)
    for row in rows:
        content = (mine.folder / "photos" / row["file"]).read_bytes()
        row["picture"] = {"bytes": content, "path": row.pop("file")} if kind == "files" else content
    rows.append(rows[0] | {"picture": None})
    columns = {key: column for key, column in COLUMNS.items() if key != "image"}
    faces = mine(rows, "labels.parquet", "labels.parquet", columns)
    assert faces["age"].tolist() == [row["years"] for row in rows]
    pack.main("mine", "cropped")
    assert packs.Pack("data/packs/mine/cropped").face_ids == faces["face_id"][:3].tolist()
    assert records.read("data/packs/mine/cropped/rejects.csv")["reject"].tolist() == ["is empty"]
    with pytest.raises(ArchiveError, match=r"column 'picture' names no image; .* remove tables.mine.columns.image"):
        mine(rows, "labels.parquet", "labels.parquet", {**COLUMNS, "image": "picture"})


def test_a_table_of_images_has_one_column_of_them(mine):
    rows = [{"years": 30, "gender": "m", "person": "a", "small": b"1", "large": b"2"}]
    columns = {key: column for key, column in COLUMNS.items() if key != "image"}
    with pytest.raises(ArchiveError, match=r"has several columns of images: small, large"):
        mine(rows, "labels.parquet", "labels.parquet", columns)
    with pytest.raises(ArchiveError, match=r"has no column 'pixels', or of files, to read images from; it has years"):
        mine([{key: rows[0][key] for key in columns.values()}], "labels.csv", columns=columns)


def test_hidden_files_are_no_images_and_change_nothing(mine):
    faces = mine(photos(mine.folder, under="photos/set"))
    archive = Path("data/raw/mine/cropped/photos.tar").read_bytes()
    for name in (".picasaoriginals", ".ipynb_checkpoints", "@eaDir", "__MACOSX"):
        photos(mine.folder, under=f"photos/set/{name}")
    for name in (".DS_Store", "set/._0.jpg", "Thumbs.db"):
        (mine.folder / "photos" / name).write_bytes(b"1")
    (mine.folder / "photos/.#lock").symlink_to("nowhere")
    assert mine(photos(mine.folder, under="photos/set")).equals(faces)
    assert (faces["reject"] == "").all()
    assert Path("data/raw/mine/cropped/photos.tar").read_bytes() == archive


def test_netpbm_is_read_and_other_kinds_of_files_are_named(mine):
    rows = photos(mine.folder, 4)
    for row, suffix in zip(rows, ("ppm", "pgm", "tga", "jpg"), strict=True):
        path = mine.folder / "photos" / row["file"]
        if suffix != "jpg":
            image = Image.open(path).convert("L" if suffix == "pgm" else "RGB")
            image.save(path.with_suffix(f".{suffix}"))
            path.unlink()
        row["file"] = path.with_suffix(f".{suffix}").name
    faces = mine(rows)
    reasons = ["", "", "is a .tga file, which is not read as an image", ""]
    assert faces.set_index("face_id")["reject"][[row["file"] for row in rows]].tolist() == reasons
    pack.main("mine", "cropped")
    assert packs.Pack("data/packs/mine/cropped").face_ids == ["0.ppm", "1.pgm", "3.jpg"]


def test_where_dvc_removes_files_no_photo_may_be(mine, project):
    for name in ("faces", "stages"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", project)
    shutil.copy(ROOT / "versions.yaml", project)
    rows = photos(project, under="data/raw/mine/cropped")
    with pytest.raises(params.ParamsError, match=r"images: .* is in data/raw, whose files the pipeline removes: move"):
        mine(rows, project / "data/raw/mine/cropped")
    for words in ("git init -q", "dvc init -q", "dvc repro download@mine-cropped"):
        done = subprocess.run([sys.executable, "-m", *words.split()] if words.startswith("dvc") else words.split(),
                              capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode != 0
    assert "params.yaml:" in done.stderr + done.stdout
    assert sorted(path.name for path in Path("data/raw/mine/cropped").iterdir()) == ["0.jpg", "1.jpg", "2.jpg"]


def test_an_address_is_no_folder_of_images(mine):
    with pytest.raises(params.ParamsError, match=r"images: https://host/a.zip is an address: download it, and name"):
        mine(photos(mine.folder), "https://host/a.zip")


def test_bad_rows_have_their_reasons_and_good_ones_stay(mine, capsys):
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
        "0.jpg": "age 'young' is no number of years",
        "1.jpg": "age '130' is not 0 to 124",
        "7.jpg": "2 rows of this image disagree",
    }
    assert faces.loc["2.jpg", ["age", "sex"]].tolist() == [rows[2]["years"], ""]
    assert "1 x sex 'x' is not one of male, female, m, f, ?, so that label is left empty" in capsys.readouterr().err
    assert pd.isna(faces.loc["5.jpg", "age"])
    assert faces.loc["5.jpg", "sex"] == ""


BOX = {"box": ["left", "top", "right", "bottom"]}


def with_boxes(rows, *boxes):
    return [row | dict(zip(BOX["box"], box, strict=True)) for row, box in zip(rows, boxes, strict=True)]


def test_boxes_of_faces(mine):
    boxes = [("-1", "2.5", "30", "40"), ("", " ", "", ""), ("-1",) * 4, ("nan", "1", "30", "40"), ("0", "0", "0", "0")]
    faces = mine(with_boxes(photos(mine.folder, 5), *boxes), columns=COLUMNS | BOX)
    assert faces["reject"].tolist() == ["", "", "", "box is not four numbers: nan,1,30,40",
                                        "box is not a pixel wide and high: 0,0,0,0"]  # fmt: skip
    assert Path("data/boxes/mine.csv").read_text() == "face_id,left,top,right,bottom\n0.jpg,-1.0,2.5,30.0,40.0\n"
    rows = with_boxes(photos(mine.folder, 2), (5, 6, 7, 8), ("inf", 6, 7, 8))
    faces = mine(rows, columns=COLUMNS | BOX, box_is="size")
    assert faces[[*records.BOX]].to_numpy()[0].tolist() == [5, 6, 12, 14]
    assert faces["reject"][1] == "box is not four numbers: inf,6,7,8"


def test_rows_of_one_image_with_other_boxes_disagree(mine):
    row, other = photos(mine.folder, 2)
    rows = with_boxes([row, row, row, other], *((left, 2, 30, 40) for left in (1, 1, 5, 5)))
    assert mine(rows, columns=COLUMNS | BOX)["reject"].tolist() == ["3 rows of this image disagree", ""]


def test_columns_of_boxes_are_there_and_are_four(mine):
    rows = with_boxes(photos(mine.folder, 2), ("",) * 4, ("",) * 4)
    with pytest.raises(ArchiveError, match=r"labels.csv: no row has a usable box in left, top, right, bottom"):
        mine(rows, columns=COLUMNS | BOX)
    with pytest.raises(ArchiveError, match=r"has no column 'x', which tables.mine.columns.box in params.yaml names"):
        mine(rows, columns=COLUMNS | {"box": ["left", "x", "right", "bottom"]})
    with pytest.raises(params.ParamsError, match=r"columns.box: .* is not usable: list should have at least 4 items"):
        mine(rows, columns=COLUMNS | {"box": ["left", "top"]})
    with pytest.raises(params.ParamsError, match=r"columns.box.1: 'left' is listed twice"):
        mine(rows, columns=COLUMNS | {"box": ["left", "left", "right", "bottom"]})


def test_ages_in_bins(mine):
    rows = [{**row, "years": "(25, 32)"} for row in photos(mine.folder)]
    assert mine(rows, ages={"(25, 32)": 28.5})["age"].tolist() == [28.5] * 3


def test_a_bin_that_a_spreadsheet_made_a_date_is_said_to_be_one(mine, capsys):
    rows = photos(mine.folder)
    for row, text in zip(rows, ("9-Mar", "more than 70", "40"), strict=True):
        row["years"] = text
    faces = mine(rows, classes=CLASSES)
    assert faces["reject"].tolist() == [
        "age '9-Mar' is a date, which a spreadsheet made of a bin such as 3-9",
        "age 'more than 70' is no number of years",
        "",
    ]
    assert "tables.mine.ages in params.yaml may say how many" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(ArchiveError, match=r"no row can be used: .*tables.mine.ages in params.yaml"):
        mine(rows[:2])


def test_a_missing_file_is_reported_before_anything_runs(mine):
    mine(photos(mine.folder))
    assert check.absent(params.load()) == []
    (mine.folder / "labels.csv").unlink()
    Path(".git").mkdir()
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
    with pytest.raises(ArchiveError, match=r"no row has a label of sex: . x sex '[mf]' is not one of male"):
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
    rows = photos(mine.folder, 120)
    for i, row in enumerate(rows):
        row["part"] = "Test" if i < 20 else "training"
    rows[0]["person"] = rows[30]["person"]  # this person would be in two parts
    mine(rows, columns={**COLUMNS, "split": "part"})
    pack.main("mine", "cropped")
    clean.main("mine")
    split.main("mine")
    parts = records.read("data/splits/mine.csv").set_index("face_id")["part"]
    assert {face for face, part in parts.items() if part == "test"} == {f"{i}.jpg" for i in range(20)}
    assert set(parts) == {"train", "val", "calibration", "test"}
    assert "30.jpg" not in parts.index
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
    assert {"png.jpg", "moving.gif"} <= set(packs.Pack("data/packs/mine/cropped").face_ids)
    reasons = records.read("data/clean/mine/rejects.csv").set_index("face_id")["reject"]
    assert reasons["empty.jpg"] == "image is empty"
    assert reasons["cut.jpg"].startswith("image cannot be decoded")
    assert reasons["text.png"] == "image is no image"


def test_a_large_table_is_read_in_seconds(mine):
    names = [f"photos/{i}.jpg" for i in range(100_000)]
    columns = params.Columns(image="file", age="years")
    settings = params.Table(labels="x.csv", columns=columns)
    rows = pd.DataFrame({"file": [f"{i}.jpg" for i in range(100_000)], "years": "30"})
    started = time.process_time()
    faces, unknown = table.records(rows, settings, names)
    assert unknown == {}
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


def rows_of(text, tmp_path, name="labels.csv"):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tables.load(tmp_path / name).to_dict("records")


SAME = [{"file": "a b.jpg", "age": "30", "note": "x, y"}, {"file": "é.jpg", "age": "", "note": ""}]
PLAIN = 'file,age,note\na b.jpg,30,"x, y"\né.jpg,,\n'


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", "\n\n"),
        "\ufeff" + PLAIN,
        PLAIN.encode("utf-16"),
        gzip.compress(PLAIN.encode(), mtime=0),
        'sep=;\nfile;age;note\na b.jpg;30;"x, y"\né.jpg;;\n',
        "file\tage\tnote\na b.jpg\t30\tx, y\né.jpg\t\t\n",
        'file age   note\n"a b.jpg"  30 "x, y" \n  é.jpg\n',
        '"file"|"age"|"note"\n"a b.jpg"|"30"|"x, y"\n"é.jpg"\n',
        'file,age,note,\na b.jpg,30,"x, y",\né.jpg,,,\n',
        ' file , age,note \na b.jpg,30,"x, y",,\né.jpg,,,,\n',
        'file, "age", note\na b.jpg, 30, "x, y"\né.jpg, "", \n',
        "\ufeff\ufeff" + PLAIN,
    ],
)
def test_one_table_written_in_many_ways_has_the_same_rows(tmp_path, text):
    rows = rows_of(text, tmp_path)
    assert [{key: value for key, value in row.items() if key} for row in rows] == SAME


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a,b\n1,2\n\n1,2,3\n", r"line 4: 3 fields, and the header has 2"),
        ('a,b\n1,"2\n3,4\n', r"line 3: unexpected end of data"),
        ('a,b\n"1"2,3\n', r"line 2: ',' expected after"),
        ("a,b\n1,\xe9\n".encode("latin-1"), r"line 2 is not UTF-8: save it as CSV in UTF-8"),
        (b"PK\3\4", "it is an Excel workbook, or a zip: save it as CSV"),
        (b'[{"a": 1}]', "it is JSON: save it as CSV"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS, .*`git lfs pull`"),
        ("a b\n1 2 3\n", r"line 2: 3 fields, and the header has 2"),
        (b"PAR1PAR1", "cannot be read as a table"),
        ("a,b\n1,2\n".encode("utf-16-le"), r"line 1 has zero bytes: save it as CSV \(UTF-8\) or Parquet"),
        ("a,b\n1,2\n\0\0\0", r"line 3 has zero bytes"),
        ('a\tb\tc\n1\t2\t"x\n3\t4\ty"\n', r"line 3: a cell has whole rows in it: a quotation mark"),
        ('a,b,c\n1,"2,x\n3,4,y\n5,6",z\n', r"line 4: a cell has whole rows in it"),
        ("a,b\n", "has no rows"),
        ("", "has no rows"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_with_its_line(tmp_path, text, fault):
    with pytest.raises(ArchiveError, match=fault):
        rows_of(text, tmp_path)


def test_cells_may_have_lines_of_their_own(tmp_path):
    text = 'a,b,c\n1,"two\nlines, and more",x\n2,"p\r\nr, s\rt",y\n'
    rows = rows_of(text, tmp_path)
    assert [row["b"] for row in rows] == ["two\nlines, and more", "p\nr, s\nt"]
    assert rows_of('a,b\n1,"x\ny, z"\n', tmp_path) == [{"a": "1", "b": "x\ny, z"}]


def test_text_of_a_parquet_may_be_bytes_or_an_index(tmp_path):
    frame = pd.DataFrame({"file": ["a.jpg", "b.jpg"], "who": [b"Jos\xc3\xa9", b"\xff\xd8\xff"], "age": ["3\r4", None]})
    frame["day"] = [pd.Timestamp("2020-01-02"), pd.NaT]
    frame.set_index("file").to_parquet(tmp_path / "a.parquet")
    rows = tables.load(tmp_path / "a.parquet")
    assert rows["file"].tolist() == ["a.jpg", "b.jpg"]
    assert rows["who"].tolist() == ["José", ""]
    assert rows["age"].tolist() == ["3\n4", ""]
    assert rows["day"].tolist() == ["2020-01-02 00:00:00", ""]


def test_a_parquet_whose_notes_are_damaged_is_no_table(tmp_path):
    written = pa.Table.from_pandas(pd.DataFrame(SAME))
    notes = written.schema.metadata[b"pandas"].replace(b'"pandas_type"', b'"pandas-type"')
    pq.write_table(written.replace_schema_metadata({"pandas": notes}), tmp_path / "a.parquet")
    with pytest.raises(ArchiveError, match=r"a.parquet: cannot be read as a table: KeyError: 'pandas_type'"):
        tables.load(tmp_path / "a.parquet")


def test_a_column_that_is_there_twice_is_no_column(mine):
    rows = photos(mine.folder)
    mine(rows)
    (mine.folder / "labels.csv").write_text("file,years,years,gender,person\nphotos/0.jpg,1,2,m,p\n")
    with pytest.raises(ArchiveError, match=r"has more than one column 'years', which tables.mine.columns.age"):
        read_table.main("mine")


@pytest.mark.parametrize(
    ("named", "there"),
    [
        (unicodedata.normalize("NFC", "José.jpg"), unicodedata.normalize("NFD", "José.jpg")),
        ("C:\\Users\\me\\photos\\a.jpg", "a.jpg"),
        ("D:a.jpg", "a.jpg"),
        ("/home/me/photos/a.jpg", "photos/a.jpg"),
        (" a.jpg ", "a.jpg"),
        ("A.JPG", "a.jpg"),
        ("photos\\A.Jpg", "photos/a.jpg"),
        ("./a.jpg", "a.jpg"),
        ("a", "a.jpg"),
        ("00012", "00012.jfif"),
        ("12.0", "12.jpg"),
        ("照片.jpg", "照片.jpg".encode("gb18030").decode("cp437")),
        ("T:1.jpg", "photos/T:1.jpg"),
    ],
)
def test_an_image_is_found_by_a_name_that_is_written_otherwise(named, there):
    assert table.finder([there, "b/other.jpg"])(named) == (there, "")


@pytest.mark.parametrize("start", ["./", "photos/./", "photos//"])
def test_names_of_an_archive_may_have_parts_that_mean_nothing(mine, start):
    rows = photos(mine.folder, 20)
    files = sorted((mine.folder / "photos").iterdir())
    with (mine.folder / "photos.tar").open("wb") as file:
        archives.write_tar(file, [(start + path.name, path.read_bytes()) for path in files])
    mine(rows, "photos.tar")
    pack.main("mine", "cropped")
    clean.main("mine")
    assert len(records.read("data/clean/mine/faces.csv")) == 20


@pytest.mark.parametrize(
    ("named", "reason"),
    [("", "names no image"), ("  ", "names no image"), ("../a.jpg", "image's path leads out of its folder"),
     ("c.jpg", table.NOT_THERE), ("7.0", table.NOT_THERE), ("a.png", table.NOT_THERE), ("x/a.jpg", table.NOT_THERE),
     ("A.jpg", "image's name fits several")],
)  # fmt: skip
def test_an_image_that_is_not_found_has_a_reason(named, reason):
    assert table.finder(["a.jpg", "a.JPG"])(named) == ("" if not named.strip() else named, reason)


def test_a_name_that_is_not_there_takes_no_time():
    names = [f"faces/{i * 7919 % 10_000:04}_{'abc_0123' * 20}.jpg" for i in range(10_000)]
    started = time.process_time()
    assert "there is 'faces/" in read_table.hint(f"images/{names[5]}", names)
    assert time.process_time() - started < 5


def test_a_name_that_is_not_there_is_shown_beside_one_that_is(mine, capsys):
    mine([{**row, "file": f"img_{row['file']}"} for row in photos(mine.folder)[:1]] + photos(mine.folder)[1:])
    assert "1 x no such image (for example 'img_0.jpg'; there is '0.jpg')" in capsys.readouterr().err


def test_codes_are_equal_however_they_are_written(mine):
    rows = photos(mine.folder, 5)
    for row, code in zip(rows, ["1", "1.0", "01", " 1 ", "-1.0"], strict=True):
        row["gender"] = code
    faces = mine(rows, classes={"sex": {-1: "male", 1: "female"}})
    assert faces["sex"].tolist() == ["female"] * 4 + ["male"]


def test_words_for_nobody_are_nobody(mine):
    rows = photos(mine.folder, 7)
    for row, word in zip(rows, ["unknown", "NaN", "-1", "N/A", "?", "-1.0", "Anna"], strict=True):
        row["person"] = row["years"] = word
    rows[-1]["years"] = 30
    faces = mine(rows)
    assert faces["identity"].tolist() == [""] * 6 + ["Anna"]
    assert faces["age"].isna().tolist() == [True] * 6 + [False]
    assert (faces["reject"] == "").all()


def test_a_person_is_one_however_the_name_is_written(mine):
    rows = photos(mine.folder, 4)
    for row, word in zip(rows, ["José Li", "Jose\u0301  Li ", "Jos\u00e9\rLi", "jose li"], strict=True):
        row["person"] = word
    faces = mine(rows, name="labels.parquet")
    assert faces["identity"].tolist() == ["José Li"] * 3 + ["jose li"]
    assert faces["age"].tolist() == [row["years"] for row in rows]


@pytest.mark.parametrize("role", ["identity", "split"])
def test_a_column_that_says_nothing_is_an_error(mine, role):
    rows = [{**row, "word": "unknown"} for row in photos(mine.folder)]
    with pytest.raises(ArchiveError, match=rf"no row has a label of {role}: word is empty"):
        mine(rows, columns={**COLUMNS, role: "word"})


def test_rows_are_counted_where_their_image_is_again_or_none(mine, capsys):
    rows = photos(mine.folder)
    mine([*rows, *rows, *[{**rows[0], "file": " "}] * 4, {**rows[1], "years": 9}])
    message = " ".join(capsys.readouterr().err.split())
    assert "2 of 11 rows are usable; 4 x names no image; 1 x 3 rows of this image disagree; 4 x repeats" in message


def test_the_greatest_age_is_that_of_the_targets(mine):
    rows = photos(mine.folder)
    rows[0]["years"], rows[1]["years"] = 124.5, 124
    assert mine(rows)["reject"].tolist() == ["age '124.5' is not 0 to 124", "", ""]


def test_images_that_belong_to_rows_by_their_order_are_those_of_the_present_file(mine):
    rows = [{"age": i, "gender": "m", "pixels": " ".join([str(i)] * 9)} for i in range(4)]
    columns = {"age": "age", "sex": "gender"}
    mine(rows, "labels.csv", columns=columns)
    pd.DataFrame(rows[1:]).to_csv(mine.folder / "labels.csv", index=False)
    with pytest.raises(ArchiveError, match=r"labels.csv: has changed since its images were read: `make fetch`"):
        read_table.main("mine")
    assert len(mine(rows[1:], "labels.csv", columns=columns)) == 3
    shutil.copy(mine.folder / "labels.csv", mine.folder / "images.csv")
    with pytest.raises(ArchiveError, match=r"labels has 4 rows, and .*images.csv has 3 files, which are not one for"):
        mine(rows, "images.csv", columns=columns)
    photos(mine.folder)
    with pytest.raises(ArchiveError, match=r"name the column of their names, tables.mine.columns.image"):
        mine(rows[1:], "photos", columns=columns)


def test_the_words_of_a_split_column_may_be_mapped(mine):
    rows = photos(mine.folder, 80)
    for i, row in enumerate(rows):
        row["part"] = "0" if i < 40 else "1" if i < 60 else "2"
    classes = CLASSES | {"split": {0: "train", 1: "val", 2: "test"}}
    faces = mine(rows, columns={**COLUMNS, "split": "part"}, classes=classes)
    assert faces["published"].value_counts().to_dict() == {"train": 40, "val": 20, "test": 20}
    with pytest.raises(params.ParamsError, match=r"tables.mine.classes.split.0: 'training' is not one of train, val"):
        mine(rows, classes={"split": {0: "training"}})
