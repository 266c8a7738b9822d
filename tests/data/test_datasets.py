"""The irregularities of the published names and of the .mat."""

import datetime
import io
import tarfile
import time

import numpy as np
import pytest
import scipy.io

from faces.data import archives
from faces.data.archives import ArchiveError
from faces.data.datasets import imdb_wiki, utkface
from faces.data.sample import archive_writer
from stages import parse_labels


@pytest.mark.parametrize(
    ("name", "face"),
    [
        ("UTKFace/25_0_2_20170116172300001.jpg.chip.jpg", "20170116172300001_25_0_2"),
        ("part1/25_0_2_20170116172300001.jpg", "20170116172300001_25_0_2"),
        ("UTKFace/55_0_0_20170116232725357jpg.chip.jpg", "20170116232725357_55_0_0"),
        ("UTKFace/24_0_1_20170116220224657 .jpg.chip.jpg", "20170116220224657_24_0_1"),
        ("UTKFace/39_1_20170116174525125.jpg.chip.jpg", "39_1_20170116174525125"),
        ("part2/53__0_20170116184028385.jpg", "53__0_20170116184028385"),
        ("UTKFace/25_0_2_20170116172300001.PNG", "20170116172300001_25_0_2"),
        ("UTKFace/25_0_2_20170116172300001.jpg.chip.png", "20170116172300001_25_0_2"),
        ("UTKFace/.ipynb_checkpoints/25_0_2_20170116172300001.jpg", None),
        ("__MACOSX/UTKFace/25_0_2_20170116172300001.jpg", None),
        ("UTKFace/.DS_Store", None),
        ("UTKFace/readme.txt", None),
    ],
)
def test_utkface_names(name, face):
    assert utkface.face_id(name) == face


def test_a_name_of_blanks_takes_no_time():
    started = time.process_time()
    assert utkface.face_id(" " * 20_000 + "x") is None
    assert utkface.face_id(" " * 20_000 + ".jpg") == ""
    assert time.process_time() - started < 1


def test_utkface_labels():
    rows = parse_labels.label(
        [
            "a/25_1_2_20170116172300001.jpg.chip.jpg",
            "b/25_1_2_20170116172300001.jpg",
            "a/39_1_20170116174525125.jpg.chip.jpg",
            "a/200_1_2_20170116172300002.jpg.chip.jpg",
            "a/20_3_2_20170116172300003.jpg.chip.jpg",
        ],
        "utkface",
    ).set_index("face_id")
    assert len(rows) == 4
    good = rows.loc["20170116172300001_25_1_2"]
    assert (good["age"], good["sex"], good["ethnicity"], good["reject"]) == (25, "female", "asian", "")
    reasons = rows["reject"][rows["reject"] != ""].tolist()
    assert reasons == ["impossible age 200", "unknown code: sex 3, race 2", "name without age, sex, race and timestamp"]


def test_birth_dates_are_calendar_dates():
    assert imdb_wiki.birth_date(723671) == datetime.date(1981, 5, 5)  # 10000217_1981-05-05_2009.jpg in wiki.mat
    assert imdb_wiki.birth_date(47) is None
    assert imdb_wiki.age_in(2009, datetime.date(1981, 5, 5)) == 28
    assert imdb_wiki.age_in(2009, datetime.date(1981, 7, 2)) == 27


def mat_archive(path, **changes):
    rows = {
        "dob": np.array([[723671.0, 723671.0, 47.0]]),
        "photo_taken": np.array([[2009.0, 2150.0, 2009.0]]),
        "full_path": np.array([["17/10000217_1981-05-05_2009.jpg", "a/b.jpg", "a/c.jpg"]], object),
        "gender": np.array([[1.0, 0.0, np.nan]]),
        "name": np.array([["A", "B", "C"]], object),
        "face_location": np.array([[np.array([1.0, 1, 41, 41])] * 3], object).reshape(1, 3, -1),
        "face_score": np.array([[4.3, 2.0, -np.inf]]),
        "second_face_score": np.array([[np.nan, np.nan, np.nan]]),
    }
    cells = np.empty((1, 3), object)
    cells[0, :] = [np.array([1.0, 1, 41, 41])] * 3
    rows["face_location"] = cells
    rows = {key: value for key, value in (rows | changes).items() if value is not None}
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"wiki": rows})
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("wiki_crop/wiki.mat")
        info.size = len(buffer.getvalue())
        archive.addfile(info, io.BytesIO(buffer.getvalue()))
    return path


def test_a_mat_gives_records_and_a_funnel(tmp_path):
    rows = imdb_wiki.records(imdb_wiki.read_mat(mat_archive(tmp_path / "wiki.tar"), "wiki"))
    assert rows["face_id"][0] == "17/10000217_1981-05-05_2009"
    assert rows["age"].tolist()[:2] == [28, 169]
    assert np.isnan(rows["age"][2])
    assert rows["sex"].tolist() == ["male", "female", ""]
    assert rows["box_left"][0] == 0
    reasons, funnel = imdb_wiki.reject_reasons(rows, 0, 100, 1.0, None)
    assert reasons.tolist() == ["", "impossible age", "no usable birth date"]
    assert [(step["dropped"], step["left"]) for step in funnel[:3]] == [(0, 3), (1, 2), (1, 1)]


def test_faults_in_a_mat_are_reported(tmp_path):
    with pytest.raises(ArchiveError, match=r"wiki.mat has no field gender"):
        imdb_wiki.read_mat(mat_archive(tmp_path / "a.tar", gender=None), "wiki")
    with pytest.raises(ArchiveError, match="fields of different lengths"):
        imdb_wiki.read_mat(mat_archive(tmp_path / "c.tar", celeb_id=np.array([[1.0, 0.0]])), "wiki")
    with pytest.raises(ArchiveError, match="fields of different lengths"):
        imdb_wiki.read_mat(mat_archive(tmp_path / "b.tar", gender=np.array([[1.0, 0.0]])), "wiki")


def test_odd_numbers_in_a_mat_leave_their_cells_empty(tmp_path):
    odd = {"photo_taken": np.array([[2009.0, 2009.5, np.inf]]), "celeb_id": np.array([[7.0, np.inf, np.nan]])}
    rows = imdb_wiki.records(imdb_wiki.read_mat(mat_archive(tmp_path / "a.tar", **odd), "wiki"))
    assert rows["photo_year"].isna().tolist() == [False, True, True]
    assert rows["identity"].tolist() == ["7", "", ""]
    reasons, _ = imdb_wiki.reject_reasons(rows, 0, 100, 1.0, None)
    assert reasons.tolist() == ["", "no usable year of the photo", "no usable birth date"]


def test_a_mat_in_another_format_is_reported(tmp_path):
    import h5py

    with h5py.File(tmp_path / "wiki.mat", "w", userblock_size=512) as file:
        file["wiki"] = [1.0]
    with (tmp_path / "wiki.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    for content, message in (((tmp_path / "wiki.mat").read_bytes(), "7.3: save it with `-v7`"), (b"x", "v5 struct")):
        with tarfile.open(tmp_path / "h.tar", "w") as archive:
            info = tarfile.TarInfo("wiki_crop/wiki.mat")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        with pytest.raises(ArchiveError, match=message):
            imdb_wiki.read_mat(tmp_path / "h.tar", "wiki")
    with pytest.raises(ArchiveError, match=r"contains no imdb.mat: take the archive as its publisher has it, or put"):
        imdb_wiki.read_mat(tmp_path / "h.tar", "imdb")


def test_the_sample_mat_has_the_published_format(tmp_path):
    (content,) = [data for name, data in archive_writer.imdb_wiki("wiki", 200, 1) if name.endswith(".mat")]
    mat = scipy.io.loadmat(io.BytesIO(content), squeeze_me=True)["wiki"].item()
    assert len(mat) == len(imdb_wiki.FIELDS)
    assert all(len(field) == 200 for field in mat)


def test_a_mat_on_which_scipy_crashes_is_damaged(tmp_path):
    """SciPy follows numbers that were changed beyond its memory, and the system ends the process."""
    columns = {field: np.full((1, 3), "a/b.jpg" if field == "full_path" else 1.0, object) for field in imdb_wiki.FIELDS}
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"wiki": columns}, do_compression=False)
    for place, number in ((729, b"\0\0\0\x80"), (1185, b"\xff\xff\xff\x7f"), (1905, b"\x0e\0\0\0")):
        content = buffer.getvalue()[:place] + number + buffer.getvalue()[place + 4 :]
        with (tmp_path / "wiki.tar").open("wb") as file:
            archives.write_tar(file, [("wiki/wiki.mat", content)])
        with pytest.raises(ArchiveError, match=r"wiki\.mat is damaged: check its source"):
            imdb_wiki.read_mat(tmp_path / "wiki.tar", "wiki")


def test_one_odd_cell_does_not_change_the_others(tmp_path):
    columns = {field: np.empty((1, 2), object) for field in imdb_wiki.FIELDS}
    for row, sex in enumerate([1.0, 3 + 4j]):
        cells = dict.fromkeys(columns, 2000.0) | {"gender": sex, "full_path": f"0/{row}.jpg"}
        for field, value in cells.items():
            columns[field][0, row] = value
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"wiki": columns})
    with (tmp_path / "wiki.tar").open("wb") as file:
        archives.write_tar(file, [("wiki/wiki.mat", buffer.getvalue())])
    assert imdb_wiki.records(imdb_wiki.read_mat(tmp_path / "wiki.tar", "wiki"))["sex"].tolist() == ["male", ""]


def test_numbers_of_a_mat_may_have_any_type(tmp_path):
    whole = {"dob": np.array([[723671] * 3], np.int32), "photo_taken": np.array([[2009, 2010, 2011]], np.uint16),
             "gender": np.array([[1, 0, 1]], np.uint8), "celeb_id": np.array([[7, 7, 8]], np.uint16)}  # fmt: skip
    rows = imdb_wiki.records(imdb_wiki.read_mat(mat_archive(tmp_path / "a.tar", **whole), "wiki"))
    assert rows["sex"].tolist() == ["male", "female", "male"]
    assert rows["identity"].tolist() == ["7", "7", "8"]
    assert rows["age"].tolist() == [28, 29, 30]


def test_rows_of_a_mat_that_share_an_image_are_rejected(tmp_path):
    cells = np.empty((1, 3), object)
    cells[0, :] = ["17/a.jpg", "17/b.jpg", "crop/17/a.jpg"]
    same = {"dob": 723671.0, "photo_taken": 2009.0, "face_score": 4.0, "gender": 1.0}
    usable = {"full_path": cells, **{field: np.full((1, 3), value) for field, value in same.items()}}
    rows = imdb_wiki.records(imdb_wiki.read_mat(mat_archive(tmp_path / "a.tar", **usable), "wiki"))
    reasons, funnel = imdb_wiki.reject_reasons(rows, 0, 100, 1.0, None)
    assert reasons.tolist() == ["no image of its own", "", "no image of its own"]
    assert funnel[-1] == {"filter": "no image of its own", "dropped": 2, "left": 1}


def test_text_of_a_mat_makes_no_rows_of_its_own(tmp_path):
    paths, names = np.empty((1, 3), object), np.empty((1, 3), object)
    paths[0, :], names[0, :] = ["17/a\rb.jpg", "17/c.jpg", "17/d.jpg"], ["A", "Jose\u0301\r Li", "José Li"]
    changed = mat_archive(tmp_path / "a.tar", full_path=paths, name=names)
    rows = imdb_wiki.records(imdb_wiki.read_mat(changed, "wiki"))
    assert rows["face_id"].tolist() == ["", "17/c", "17/d"]
    assert rows["identity"].tolist() == ["A", "José Li", "José Li"]


def test_a_mat_without_rows_is_an_error(tmp_path):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"wiki": {field: np.zeros((1, 0)) for field in imdb_wiki.FIELDS}})
    with (tmp_path / "wiki.tar").open("wb") as file:
        archives.write_tar(file, [("wiki/wiki.mat", buffer.getvalue())])
    with pytest.raises(ArchiveError, match=r"wiki\.mat has no rows"):
        imdb_wiki.read_mat(tmp_path / "wiki.tar", "wiki")
