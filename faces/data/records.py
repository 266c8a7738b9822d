"""The row schema of faces, as CSV: every stage after the labels reads it, for every dataset."""

import json
import re
from pathlib import Path

import pandas as pd

from faces import targets

# face_id; then facts of the dataset (published: the part or fold that its publisher gives); then one label per target
# (age in years, class names), empty where unlabelled; reject: why a row is unusable, empty where it is usable.
BOX = ("box_left", "box_top", "box_right", "box_bottom")  # of the face, in pixels of its photo
KNOWN = ("identity", "photo_year", "birth_date", *BOX, "published")
SCORES = ("face_score", "second_face_score")
MISSING = ("", "nan", "none", "null", "nil", "na", "n/a", "<na>", "#n/a", "unknown", "?", "-", "--", "\\n", "-1")
TEXT = ("face_id", "identity", "birth_date", "reject", "group", "part", "kept", "published", "by")


def columns() -> list[str]:
    """Columns of a record, in order."""
    return ["face_id", *KNOWN, *SCORES, *targets.TARGETS, "reject"]


def frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with exactly the columns of a record, missing ones empty, sorted by face id.

    Raises ValueError for any other column.
    """
    unknown = [name for name in rows if name not in columns()]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a column of records: {', '.join(columns())}")
    return rows.reindex(columns=columns()).sort_values("face_id", kind="stable").reset_index(drop=True)


def boxes(rows: pd.DataFrame) -> pd.DataFrame:
    """Boxes of the faces of a frame: face_id, left, top, right, bottom in pixels; faces without one are left out.

    A rejected row has its box, too: a change of labels alone must not change what is cut out.
    """
    known = rows[(rows["face_id"] != "") & rows[[*BOX]].notna().all(axis=1)].drop_duplicates("face_id")
    return known[["face_id", *BOX]].rename(columns=lambda name: name.removeprefix("box_"))


def as_boxes(rows: pd.DataFrame) -> dict[str, tuple[float, float, float, float]]:
    """Rows of `boxes` as (left, top, right, bottom) by face id."""
    boxes = rows.drop(columns="face_id").itertuples(index=False, name=None)
    return dict(zip(rows["face_id"], boxes, strict=True))


def write(rows: pd.DataFrame, path: Path | str) -> None:
    """Write rows as CSV, with Unix line ends and the shortest floats; the same rows give the same bytes."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(path, index=False, lineterminator="\n")


def read(path: Path | str) -> pd.DataFrame:
    """Read a file of write: text columns as str ('' where empty), the rest as float, NaN where empty."""
    header = list(pd.read_csv(path, nrows=0))
    classes = [name for name, target in targets.TARGETS.items() if target.kind == "classes"]
    text = [name for name in header if name in TEXT or name in classes]
    empty = {name: [""] for name in header if name not in text}
    return pd.read_csv(path, dtype=dict.fromkeys(text, "object"), keep_default_na=False, na_values=empty)


def write_json(value: dict, path: Path | str) -> None:
    """Write a value as JSON, the same bytes for the same value."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(value, indent=1) + "\n")


def read_json(path: Path | str) -> dict:
    """Read a JSON file."""
    return json.loads(Path(path).read_text())


def as_known(text: str) -> str:
    """A cell, stripped; '' for the words that stand for no value."""
    return "" if as_code(text) in MISSING else text.strip()


def as_code(text: str) -> str:
    """A word or number by which a cell is looked up: case does not matter, and 1, 1.0 and 01 are one number."""
    text = text.strip().casefold()
    return f"{int(float(text))}" if re.fullmatch(r"-?\d{1,15}(\.0*)?", text) else text
