"""Code shared by IMDB and WIKI (Rothe, Timofte & Van Gool 2015): the .mat of labels and the ids of images."""

import contextlib
import datetime
import io
import os
import unicodedata
import warnings
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import scipy.io

from faces.data import archives
from faces.data import records as faces_records
from faces.data.archives import ArchiveError
from faces.data.datasets import Archive

HOME = "https://data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki/"
URL = HOME + "static/"
LICENCE = "for academic research only; the photos belong to their owners"
LABELS = (
    "Age is the year of the photo less the date of birth that a web page gives, sex what its page says: of the person "
    "whom the page is about, who need not be the one in the image. Nobody checked them. There is no ethnicity."
)
SEXES = {0.0: "female", 1.0: "male"}  # the opposite of UTKFace's coding
# Where the landmarks of detection.Face are in a crop, as fractions of its side: UTKFace's, mapped to the face box plus
# 40% of it on every side, the margin that the publisher states. Not measured on the crops themselves.
FRAMING = np.array([(0.391, 0.418), (0.611, 0.419), (0.497, 0.532), (0.407, 0.629), (0.587, 0.630)])
FIELDS = (
    "dob",
    "photo_taken",
    "full_path",
    "gender",
    "name",
    "face_location",
    "face_score",
    "second_face_score",
)


def crops(name: str, md5: str, about: int) -> tuple[Archive]:
    """The archive of crops called NAME.tar; md5 as published, about: its rough size in bytes."""
    by_hand = (
        f"open {HOME} and download {name}.tar; a folder called {name} with the same images and the .mat works as well"
    )
    zip_or_folder = (Archive(f"{name}.zip"), Archive(name))
    url = f"{URL}{name}.tar"
    return (Archive(f"{name}.tar", (url,), md5=md5, about=about, alternatives=zip_or_folder, by_hand=by_hand),)


def face_id(member: str) -> str | None:
    """Id of the face in `wiki_crop/17/10000217_1981-05-05_2009.jpg`: its path below the top folder, no suffix."""
    path = PurePosixPath(member)
    if path.suffix.lower() not in archives.IMAGE_SUFFIXES or archives.is_hidden(path):
        return None
    return "/".join((*path.parts[-2:-1], path.stem))


def read_mat(archive: Path, name: str) -> pd.DataFrame:
    """Read the rows of NAME.mat in an archive, as published; face_location is left, top, right, bottom from 1.

    Raises ArchiveError where the file is not a MATLAB v5 struct with the fields of FIELDS, all of one length.
    """
    file = archives.open_member(archive, f"{name}.mat")
    if _ends_a_process(file.getvalue()):
        raise ArchiveError(f"{archive}: {name}.mat is damaged: check its source, then run `make fetch`")
    try:
        struct = scipy.io.loadmat(file)[name]
        values = {field: _column(field, struct[field]) for field in struct.dtype.names}
    except NotImplementedError:
        raise ArchiveError(
            f"{archive}: {name}.mat is of MATLAB 7.3: save it with `-v7`, or take the published file"
        ) from None
    except Exception as error:  # noqa: BLE001 - scipy raises anything for a damaged file
        raise ArchiveError(f"{archive}: {name}.mat is not a MATLAB v5 struct called {name}: {error}") from None
    missing = [field for field in FIELDS if field not in values]
    if missing:
        raise ArchiveError(f"{archive}: {name}.mat has no field {missing[0]}")
    columns = {field: values[field] for field in values if field in (*FIELDS, "celeb_id")}
    lengths = {field: len(column) for field, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ArchiveError(f"{archive}: {name}.mat has fields of different lengths: {lengths}")
    if not lengths["dob"]:
        raise ArchiveError(f"{archive}: {name}.mat has no rows")
    return pd.DataFrame(columns, dtype=object)  # one odd cell must not change the type of others


def _ends_a_process(content: bytes) -> bool:
    """Whether SciPy ends its process on a .mat: of some damaged ones it reads beyond their memory."""
    with warnings.catch_warnings(
        action="ignore", category=DeprecationWarning
    ):  # of other threads; the child needs none
        child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            scipy.io.loadmat(io.BytesIO(content))
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _column(field: str, cells: np.ndarray) -> list:
    """Values of a field: of a struct of arrays, or of an array of structs, as scipy reads them, in cells or bare."""
    if cells.size == 1:  # a struct of arrays
        cells = cells.item()
        if field == "face_location" and cells.dtype != object and cells.shape[-1] == 4:
            return list(cells)
    values = cells.ravel().tolist()  # numbers of any type become Python's
    return [cell.item() if isinstance(cell, np.ndarray) and cell.size == 1 else cell for cell in values]


def birth_date(datenum: float) -> datetime.date | None:
    """Date of a MATLAB datenum (days from year 0), None where it is not a date from year 1 on."""
    known = 367 <= datenum < datetime.date.max.toordinal() + 367  # NaN is not
    return datetime.date.fromordinal(int(datenum) - 366) if known else None


def age_in(year: int, born: datetime.date) -> int:
    """Age in years of a person photographed in the middle of a year (the day is not published)."""
    return year - born.year - ((born.month, born.day) > (7, 1))


def records(mat: pd.DataFrame) -> pd.DataFrame:
    """Convert rows of read_mat to records, unfiltered: age in years, sex, identity, box from 0, scores."""
    born = [birth_date(value) for value in _numbers(mat["dob"])]
    years = _numbers(mat["photo_taken"]).where(lambda year: year.between(1, 9999) & (year % 1 == 0))
    boxes = np.array([_box(box) for box in mat["face_location"]]) - 1
    people = mat["celeb_id"] if "celeb_id" in mat else mat["name"]
    return pd.DataFrame(
        {
            "face_id": [_path_id(str(path).strip().replace("\\", "/")) for path in mat["full_path"]],
            "age": [
                np.nan if b is None or y != y else float(age_in(int(y), b)) for y, b in zip(years, born, strict=True)
            ],
            "sex": [SEXES.get(value, "") for value in map(_sex, mat["gender"])],
            "identity": [_person(value) for value in people],
            "photo_year": years.astype("Int64"),
            "birth_date": ["" if b is None else b.isoformat() for b in born],
            **dict(zip(("box_left", "box_top", "box_right", "box_bottom"), boxes.T, strict=True)),
            "face_score": _numbers(mat["face_score"]),
            "second_face_score": _numbers(mat["second_face_score"]),
        }
    )


def _path_id(path: str) -> str:
    """Id of the face of a path; '' where it names no image that an archive can have."""
    return "" if archives.CONTROL.search(path) else face_id(path) or ""


def _numbers(values: pd.Series) -> pd.Series:
    """Values as floats, NaN where one is no number."""
    return pd.to_numeric(values.map(lambda value: value if np.isscalar(value) else np.nan), errors="coerce").astype(
        float
    )


def _box(value: object) -> np.ndarray:
    """Left, top, right and bottom (4,) of a face; NaN where the file has not four numbers."""
    box = np.ravel(np.asarray(value))
    return box[:4].astype(float) if box.size >= 4 and box.dtype.kind in "iuf" else np.full(4, np.nan)


def _sex(value: object) -> float:
    """The code of a sex, 0 or 1, also of a word; NaN where it is neither."""
    words = {"female": 0.0, "f": 0.0, "male": 1.0, "m": 1.0}
    return words.get(str(value).strip().casefold(), value if isinstance(value, int | float) else np.nan)


def _person(value: object) -> str:
    """Who a name or number says is in an image; '' where it says nobody."""
    if isinstance(value, float):
        return f"{int(value)}" if value.is_integer() else f"{value:g}" if np.isfinite(value) else ""
    words = unicodedata.normalize("NFC", str(value)).split() if isinstance(value, str | int) else []
    return faces_records.as_known(" ".join(words))


def reject_reasons(
    rows: pd.DataFrame, min_age: int, max_age: int, min_face_score: float, max_second_face_score: float | None
) -> tuple[pd.Series, list[dict]]:
    """Return why each record is unusable (empty where it is usable) and the funnel of the filters.

    An entry of the funnel is {filter, dropped, left}; a row is counted at the first filter that it fails.
    """
    second = rows["second_face_score"]
    filters = {
        "no path": rows["face_id"] == "",
        "no usable birth date": rows["birth_date"] == "",
        "no usable year of the photo": rows["photo_year"].isna(),
        "impossible age": ~rows["age"].between(min_age, max_age),
        "no face": np.isneginf(rows["face_score"]),
        "low score": rows["face_score"] < min_face_score,
        "second face": second.notna() if max_second_face_score is None else second > max_second_face_score,
        "unknown sex": rows["sex"] == "",
        "no image of its own": rows["face_id"].duplicated(keep=False),
    }
    reasons = pd.Series("", index=rows.index)
    funnel = [{"filter": "all rows", "dropped": 0, "left": len(rows)}]
    for name, fails in filters.items():
        dropped = fails & (reasons == "")
        reasons[dropped] = name
        if name.startswith("no ") and not dropped.any():
            continue
        funnel.append({"filter": name, "dropped": int(dropped.sum()), "left": int((reasons == "").sum())})
    return reasons, funnel
