"""One's own table: labels stand in a CSV or Parquet file whose columns params.yaml names; pictures lie beside it."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from faces import params, targets
from faces.data import tables
from faces.data.archives import PICTURES, ArchiveError

LICENCE = "your own"
HOME = ""
ARCHIVES = {"cropped": ()}  # the row of variants names the pictures


def face_id(member: str) -> str | None:
    """Id of the face in an archive's member: its path; None for what is no picture."""
    path = PurePosixPath(member)
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return str(path) if path.suffix.lower() in PICTURES and not hidden else None


def read(settings: params.Table, name: str) -> pd.DataFrame:
    """Rows of a table's labels file; raises ArchiveError where it lacks a column that params.yaml names."""
    path = Path(settings.labels)
    rows = tables.load(path)
    for role, column in settings.columns.model_dump().items():
        if column is not None and column not in rows:
            raise ArchiveError(
                f"{path}: has no column {column!r}, which tables.{name}.columns.{role} in params.yaml names; "
                f"it has {', '.join(rows)}"
            )
    return rows


def records(rows: pd.DataFrame, settings: params.Table, members: Iterable[str]) -> pd.DataFrame:
    """Turn the rows of a table into records; a row that cannot be used has its reason in `reject`.

    members: the names in the archive of pictures. A row's picture is the member whose path ends in the row's.
    """
    if settings.columns.picture is None:
        wanted = tables.pixel_names(len(rows))
    else:
        wanted = [name.replace("\\", "/") for name in rows[settings.columns.picture]]
    found = suffixes(member for member in members if face_id(member) is not None)
    out = pd.DataFrame([_picture(name, found) for name in wanted], columns=["face_id", "reject"], dtype=object)
    for target in targets.TARGETS.values():
        column = getattr(settings.columns, target.name, None)
        if column is None:
            continue
        read = [_label(target, str(text).strip(), settings) for text in rows[column]]
        out[target.name] = [value for value, _ in read]
        faults = pd.Series([fault for _, fault in read], dtype=object)
        out["reject"] = out["reject"].where(out["reject"] != "", faults)
    for role, column in (("identity", settings.columns.identity), ("published", settings.columns.split)):
        out[role] = [text.strip() for text in rows[column]] if column is not None else ""
    return _once(out)


def suffixes(paths: Iterable[str]) -> dict[str, str]:
    """Each path under every way to write its end: `b.jpg`, `a/b.jpg`, ...; what several share belongs to none."""
    found: dict[str, str] = {}
    for path in paths:
        parts = PurePosixPath(path).parts
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            found[end] = "" if end in found and start else path
    return found


def _picture(name: str, found: dict[str, str]) -> tuple[str, str]:
    """(face id, reason to reject) of a picture as a table names it."""
    path = PurePosixPath(name)
    if name.strip() == "":
        return "", "names no picture"
    if ".." in path.parts:
        return name, "picture's path leads out of its folder"
    parts = [part for part in path.parts if part != "/"]
    starts = range(len(parts)) if path.is_absolute() else (0,)
    for start in starts:
        match = found.get("/".join(parts[start:]))
        if match:
            return match, ""
        if match == "":
            return name, "picture's name fits several"
    return name, "no such picture"


def _label(target: targets.Target, text: str, settings: params.Table) -> tuple[object, str]:
    """(label, reason to reject) of one cell; an empty cell is no label."""
    empty = np.nan if target.kind == "years" else ""
    if text == "" or text.lower() in ("nan", "none", "null"):
        return empty, ""
    if target.kind == "years":
        try:
            years = float(settings.ages.get(text, text))
        except ValueError:
            return empty, f"age {text!r} is no number of years"
        inside = 0 <= years < target.units
        return (years, "") if inside else (empty, f"age {text!r} is not 0 to {target.units - 1}")
    names = {**{name: name for name in target.classes}, **settings.classes.get(target.name, {})}
    for key in (text, text.lower(), text.removesuffix(".0")):
        if key in names:
            return names[key], ""
    return empty, f"{target.name} {text!r} is not one of {', '.join(names)}"


def _once(out: pd.DataFrame) -> pd.DataFrame:
    """One record a picture: what is said of it twice alike counts once, what is said differently is rejected."""
    again = out["face_id"].duplicated(keep=False)
    settled = []
    for _, same in out[again].groupby("face_id"):
        usable = same[same["reject"] == ""]
        first = (usable if len(usable) else same).iloc[0].copy()
        if len(usable.drop(columns="reject").astype(str).drop_duplicates()) > 1:
            first["reject"] = f"{len(usable)} rows of this picture disagree"
        settled.append(first)
    once = pd.DataFrame(settled, columns=out.columns)
    return pd.concat([out[~again], once] if settled else [out]).sort_values("face_id", kind="stable")
