"""One's own table: labels are in a CSV or Parquet file whose columns params.yaml names; images are separate files."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from faces import params, targets
from faces.data import tables
from faces.data.archives import IMAGE_SUFFIXES, ArchiveError

LICENCE = "your own"
HOME = ""
ARCHIVES = {"cropped": ()}  # the row of `variants` in params.yaml names the images


def face_id(member: str) -> str | None:
    """Id of the face that a member of an archive shows: its path; None for a member that is not an image."""
    path = PurePosixPath(member)
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return str(path) if path.suffix.lower() in IMAGE_SUFFIXES and not hidden else None


def read(settings: params.Table, name: str) -> pd.DataFrame:
    """Read a table's labels file. Raises ArchiveError where it lacks a column that params.yaml names."""
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
    """Convert the rows of a table to records; an unusable row has its reason in `reject`.

    members: the names in the archive of images. A row's image is the member whose path ends with the row's path.
    """
    if settings.columns.image is None:
        wanted = tables.pixel_names(len(rows))
    else:
        wanted = [name.replace("\\", "/") for name in rows[settings.columns.image]]
    paths = suffixes(member for member in members if face_id(member) is not None)
    out = pd.DataFrame([_picture(name, paths) for name in wanted], columns=["face_id", "reject"], dtype=object)
    for target in targets.TARGETS.values():
        column = getattr(settings.columns, target.name, None)
        if column is None:
            continue
        cells = [_label(target, str(text).strip(), settings) for text in rows[column]]
        out[target.name] = [label for label, _ in cells]
        reasons = pd.Series([reason for _, reason in cells], dtype=object)
        out["reject"] = out["reject"].where(out["reject"] != "", reasons)
    for role, column in (("identity", settings.columns.identity), ("published", settings.columns.split)):
        out[role] = [text.strip() for text in rows[column]] if column is not None else ""
    return _merge_repeats(out)


def suffixes(paths: Iterable[str]) -> dict[str, str]:
    """Map every suffix of a path (`b.jpg`, `a/b.jpg`, ...) to the path, and a suffix of several paths to ''."""
    full_paths: dict[str, str] = {}
    for path in paths:
        parts = PurePosixPath(path).parts
        for start in range(len(parts)):
            suffix = "/".join(parts[start:])
            full_paths[suffix] = "" if suffix in full_paths and start else path
    return full_paths


def _picture(name: str, paths: dict[str, str]) -> tuple[str, str]:
    """Return (face id, reason to reject) of an image as a table names it; paths: of suffixes."""
    path = PurePosixPath(name)
    if name.strip() == "":
        return "", "names no image"
    if ".." in path.parts:
        return name, "image's path leads out of its folder"
    parts = [part for part in path.parts if part != "/"]
    ends = ["/".join(parts[start:]) for start in (range(len(parts)) if path.is_absolute() else (0,))]
    matches = [paths[end] for end in ends if end in paths]
    if not matches:
        return name, "no such image"
    return (matches[0], "") if matches[0] else (name, "image's name fits several")


def _label(target: targets.Target, text: str, settings: params.Table) -> tuple[object, str]:
    """Return (label, reason to reject) of one cell; an empty cell has neither."""
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
    labels = [names[key] for key in (text, text.lower(), text.removesuffix(".0")) if key in names]
    return (labels[0], "") if labels else (empty, f"{target.name} {text!r} is not one of {', '.join(names)}")


def _merge_repeats(out: pd.DataFrame) -> pd.DataFrame:
    """Keep one record per image; it is rejected where the image's usable rows disagree."""
    usable = out[out["reject"] == ""]
    counts, distinct = (rows.groupby("face_id").size() for rows in (usable, usable.astype(str).drop_duplicates()))
    kept = (
        pd.concat([usable, out[out["reject"] != ""]]).drop_duplicates("face_id").sort_values("face_id", kind="stable")
    )
    disagree = kept["face_id"].isin(distinct[distinct > 1].index)
    reasons = [f"{counts[face]} rows of this image disagree" for face in kept["face_id"][disagree]]
    kept.loc[disagree, "reject"] = reasons
    return kept
