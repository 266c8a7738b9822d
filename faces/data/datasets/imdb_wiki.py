"""Code shared by IMDB and WIKI (Rothe, Timofte & Van Gool 2015): the .mat of labels and the ids of images."""

import datetime
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import scipy.io

from faces.data import archives
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
# Raised by scipy where a file is not a MATLAB v5 struct
FAULTS = (NotImplementedError, ValueError, KeyError, TypeError, EOFError, zlib.error, scipy.io.matlab.MatReadError)


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
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png") or path.name.startswith("."):
        return None
    return "/".join((*path.parts[-2:-1], path.stem))


def read_mat(archive: Path, name: str) -> pd.DataFrame:
    """Read the rows of NAME.mat in an archive, as published; face_location is left, top, right, bottom from 1.

    Raises ArchiveError where the file is not a MATLAB v5 struct with the fields of FIELDS, all of one length.
    """
    file = archives.open_member(archive, f"{name}.mat")
    try:
        struct = scipy.io.loadmat(file, squeeze_me=True)[name]
        values = dict(zip(struct.dtype.names, struct.item(), strict=True))
    except FAULTS as error:
        raise ArchiveError(f"{archive}: {name}.mat is not a MATLAB v5 struct called {name}: {error}") from None
    missing = [field for field in FIELDS if field not in values]
    if missing:
        raise ArchiveError(f"{archive}: {name}.mat has no field {missing[0]}")
    lengths = {field: len(np.atleast_1d(values[field])) for field in FIELDS}
    if len(set(lengths.values())) != 1:
        raise ArchiveError(f"{archive}: {name}.mat has fields of different lengths: {lengths}")
    return pd.DataFrame(
        {field: list(np.atleast_1d(values[field])) for field in values if field in (*FIELDS, "celeb_id")}
    )


def birth_date(datenum: float) -> datetime.date | None:
    """Date of a MATLAB datenum (days from year 0), None where it is not a date from year 1 on."""
    ordinal = int(datenum) - 366
    return datetime.date.fromordinal(ordinal) if 1 <= ordinal <= datetime.date.max.toordinal() else None


def age_in(year: int, born: datetime.date) -> int:
    """Age in years of a person photographed in the middle of a year (the day is not published)."""
    return year - born.year - ((born.month, born.day) > (7, 1))


def records(mat: pd.DataFrame) -> pd.DataFrame:
    """Convert rows of read_mat to records, unfiltered: age in years, sex, identity, box from 0, scores."""
    born = [birth_date(value) for value in mat["dob"]]
    years = mat["photo_taken"].astype(int)
    boxes = np.array([np.ravel(box)[:4] for box in mat["face_location"]], float) - 1
    people = mat["celeb_id"] if "celeb_id" in mat else mat["name"]
    return pd.DataFrame(
        {
            "face_id": [face_id(str(path)) for path in mat["full_path"]],
            "age": [np.nan if b is None else float(age_in(y, b)) for y, b in zip(years, born, strict=True)],
            "sex": [SEXES.get(value, "") for value in mat["gender"].astype(float)],
            "identity": [
                str(value).strip() if isinstance(value, str | int | float | np.number) else "" for value in people
            ],
            "photo_year": years,
            "birth_date": ["" if b is None else b.isoformat() for b in born],
            **dict(zip(("box_left", "box_top", "box_right", "box_bottom"), boxes.T, strict=True)),
            "face_score": mat["face_score"].astype(float),
            "second_face_score": mat["second_face_score"].astype(float),
        }
    )


def reject_reasons(
    rows: pd.DataFrame, min_age: int, max_age: int, min_face_score: float, max_second_face_score: float | None
) -> tuple[pd.Series, list[dict]]:
    """Return why each record is unusable (empty where it is usable) and the funnel of the filters.

    An entry of the funnel is {filter, dropped, left}; a row is counted at the first filter that it fails.
    """
    second = rows["second_face_score"]
    filters = {
        "no usable birth date": rows["age"].isna(),
        "impossible age": ~rows["age"].between(min_age, max_age),
        "no face": np.isneginf(rows["face_score"]),
        "low score": rows["face_score"] < min_face_score,
        "second face": second.notna() if max_second_face_score is None else second > max_second_face_score,
        "unknown sex": rows["sex"] == "",
    }
    reasons = pd.Series("", index=rows.index)
    funnel = [{"filter": "all rows", "dropped": 0, "left": len(rows)}]
    for name, fails in filters.items():
        dropped = fails & (reasons == "")
        reasons[dropped] = name
        funnel.append({"filter": name, "dropped": int(dropped.sum()), "left": int((reasons == "").sum())})
    return reasons, funnel
