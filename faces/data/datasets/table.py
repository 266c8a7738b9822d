"""One's own table: labels are in a CSV or Parquet file whose columns params.yaml names; images are separate files."""

import collections
import contextlib
import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from faces import params, targets
from faces.data import records as faces_records
from faces.data import tables
from faces.data.archives import IMAGE_SUFFIXES, ArchiveError, is_hidden

LICENCE = "your own"
HOME = ""
ARCHIVES = {"cropped": ()}  # the row of `variants` in params.yaml names the images
NOT_THERE = "no such image"
EMPTY_BOX = "box is not a pixel wide and high"
DATE = re.compile(r"\d{1,2}-[A-Za-z]{3,9}\.?|[A-Za-z]{3}-\d{2}")
ENCODINGS = ("utf-8", "gb18030", "shift_jis", "big5", "euc_kr", "cp1251", "cp1252")  # of names in old zips


def face_id(member: str) -> str | None:
    """Id of the face that a member of an archive shows: its path; None for a member that is not an image."""
    path = PurePosixPath(member)
    return str(path) if path.suffix.lower() in ("", *IMAGE_SUFFIXES) and not is_hidden(path) else None


def read(settings: params.Table, name: str) -> pd.DataFrame:
    """Read a table's labels file. Raises ArchiveError where it has not each column of params.yaml once, or no names."""
    path = Path(settings.labels)
    rows = tables.load(path)
    for role, column in column_names(settings.columns):
        count = list(rows).count(column)
        if count != 1:
            fault = "has no column" if not count else "has more than one column"
            raise ArchiveError(
                f"{path}: {fault} {column!r}, which tables.{name}.columns.{role} in params.yaml names; "
                f"it has {', '.join(rows)} as names, which its first line gives"
            )
    image = settings.columns.image
    if image is not None and (rows[image].str.strip() == "").all():
        raise ArchiveError(
            f"{path}: column {image!r} names no image; if it holds the images themselves, remove "
            f"tables.{name}.columns.image, and let variants.{name}-cropped.images name this file"
        )
    return rows


def column_names(columns: params.Columns) -> list[tuple[str, str]]:
    """(key, name) of each column that params.yaml names, four of a box."""
    named = {role: [name] if isinstance(name, str) else name or [] for role, name in columns.model_dump().items()}
    return [(role, name) for role, names in named.items() for name in names]


def without_boxes(settings: params.Table) -> params.Table:
    """The settings of a table whose columns of boxes are not read."""
    return settings.model_copy(update={"columns": settings.columns.model_copy(update={"box": None})})


def records(
    rows: pd.DataFrame, settings: params.Table, members: Iterable[str], folder: str = "", bins: bool = False
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Convert the rows of a table to records; an unusable row has its reason in `reject`.

    members: the names in the archive of images; folder: that of the images, with which a row's path may begin. A row's
    image is the member whose path ends with the row's path. bins: whether the records also have age_first and age_last,
    the years of a label that is a bin; its `age` is the middle.
    Returns also how many labels, {reason: count}, are not known and so left empty.
    """
    wanted = tables.pixel_names(len(rows)) if settings.columns.image is None else list(rows[settings.columns.image])
    places = _find_all(wanted, members, folder)
    out = pd.DataFrame(places, columns=["face_id", "reject"], dtype=object)
    unknown: collections.Counter[str] = collections.Counter()
    for target in targets.TARGETS.values():
        column = getattr(settings.columns, target.name, None)
        if column is None:
            continue
        labels = [_label(target, text, settings) for text in rows[column]]
        out[target.name] = [label for label, _ in labels]
        reasons = pd.Series([reason for _, reason in labels], dtype=object)
        if target.kind == "classes":
            unknown.update(reasons[reasons != ""])
        else:
            out["reject"] = out["reject"].where(out["reject"] != "", reasons)
            if bins:
                pairs = zip(rows[column], out[target.name], strict=True)
                ends = np.array([_age_bin(text, label, settings) for text, label in pairs], float).reshape(-1, 2)
                out[[f"{target.name}_first", f"{target.name}_last"]] = ends
    out[[*faces_records.BOX]] = np.nan
    if settings.columns.box is not None:
        boxes = [_box(cells, settings.box_is) for cells in rows[settings.columns.box].itertuples(index=False)]
        out[[*faces_records.BOX]] = np.array([box for box, _ in boxes], float).reshape(-1, 4)
        out["reject"] = out["reject"].where(out["reject"] != "", pd.Series([fault for _, fault in boxes], dtype=object))
    parts = {faces_records.as_code(word): part for word, part in settings.classes.get("split", {}).items()}
    for role, column in (("identity", settings.columns.identity), ("published", settings.columns.split)):
        words = parts if role == "published" else {}
        cells = list(rows[column]) if column is not None else [""] * len(rows)
        known = faces_records.as_known if role == "published" else person
        out[role] = [words.get(faces_records.as_code(text), known(text)) for text in cells]
    return _merge_repeats(out), dict(unknown)


def finder(paths: Iterable[str], folder: str = "") -> Callable[[str], tuple[str, str]]:
    """Return a function that gives (path, reason that there is none) of an image as a table or split names it.

    A path's name is any end of it (`b.jpg`, `a/b.jpg`), perhaps with the folder in front. Where no name is equal, one
    that differs in case, or that lacks the suffix, is taken. Composed and decomposed letters are equal, and so are the
    encodings of old zips.
    """
    paths = list(paths)
    stems = functools.cache(lambda: _ends(paths, lambda path: re.sub(r"\.[^./]*$", "", path).casefold()))
    folded = functools.cache(lambda: _ends(paths, str.casefold))
    exact = functools.cache(lambda: _ends(paths, str))

    def find(name: str) -> tuple[str, str]:
        drive, rest = re.fullmatch(r"(?s)([A-Za-z]:)?(.*)", _plain(name)).groups()  # type: ignore[union-attr]
        path = PurePosixPath(rest)
        parts = [part for part in path.parts if part.strip("/")]
        if not parts:
            return "", "names no image"
        if ".." in parts:
            return name, "image's path leads out of its folder"
        below = 2 if parts[0] == _plain(folder) else 1
        starts = range(len(parts) if drive or path.is_absolute() else min(below, len(parts)))
        ends = [_plain(name), *("/".join(parts[start:]) for start in starts)]  # `C:a.jpg` may be a name, too
        for level, fold in ((exact, str), (folded, str.casefold), (stems, str.casefold)):
            matches = [level()[fold(end)] for end in ends if fold(end) in level()]
            if matches:
                return (matches[0], "") if matches[0] else (name, "image's name fits several")
        number = re.fullmatch(r"(.*\d)\.0+", name.strip())  # as pandas writes whole numbers of a column with gaps
        there, reason = find(number[1]) if number else ("", NOT_THERE)
        return (name, reason) if reason else (there, "")

    return find


def person(text: str) -> str:
    """Who a cell says is in an image, however letters and blanks are written; '' for nobody."""
    return " ".join(unicodedata.normalize("NFC", faces_records.as_known(text)).split())


def _find_all(names: list[str], members: Iterable[str], folder: str) -> list[tuple[str, str]]:
    """(face id, reason that there is none) of each image; a file that is not read as an image is said to be there."""
    faces = {member: face_id(member) for member in members}
    find = finder([face for face in faces.values() if face is not None], folder)
    others = [member for member, face in faces.items() if face is None and not is_hidden(PurePosixPath(member))]
    find_other = finder(others, folder)
    places = []
    for name in names:
        path, reason = find(name)
        other, missing = find_other(name) if reason == NOT_THERE else ("", NOT_THERE)
        if not missing:
            reason = f"is a {PurePosixPath(other).suffix} file, which is not read as an image"
        places.append((path, reason))
    return places


def _ends(paths: list[str], fold: Callable[[str], str]) -> dict[str, str]:
    """Map every end of a path, folded, to the path, and an end of several to ''; a whole path is always itself."""
    whole: dict[str, str] = {}
    ends: dict[str, str] = {}
    for path in paths:
        for spelling in _spellings(path):
            parts = fold(spelling).split("/")
            for start in range(len(parts)):
                end = "/".join(parts[start:])
                names = ends if start else whole
                names[end] = path if names.get(end, path) == path else ""
    return ends | whole


def _spellings(path: str) -> set[str]:
    """A path, and what else it may be where an old zip kept bytes of another encoding, which are read as CP437."""
    spellings = {_plain(path)}
    if not path.isascii():
        with contextlib.suppress(UnicodeEncodeError):
            raw = path.encode("cp437")
            for encoding in ENCODINGS:
                with contextlib.suppress(UnicodeDecodeError):
                    spellings.add(_plain(raw.decode(encoding)))
    return spellings


def _plain(name: str) -> str:
    """A name with composed letters, forward slashes, and no blanks at the ends of its parts."""
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    return "/".join(part.strip() for part in parts)


def _label(target: targets.Target, text: str, settings: params.Table) -> tuple[object, str]:
    """Return (label, reason that there is none) of one cell; an empty cell has neither."""
    empty = np.nan if target.kind == "years" else ""
    if target.kind == "classes":
        names = {**{name: name for name in target.classes}, **settings.classes.get(target.name, {})}
        labels = {faces_records.as_code(name): label for name, label in names.items()}
        if faces_records.as_code(text) in labels:
            return labels[faces_records.as_code(text)], ""
        known = ", ".join(names)
        return empty, f"{target.name} {text.strip()!r} is not one of {known}" if faces_records.as_known(text) else ""
    ages = {faces_records.as_code(name): _middle(age) for name, age in settings.ages.items()}
    if faces_records.as_known(text) == "" and faces_records.as_code(text) not in ages:
        return empty, ""
    try:
        years = float(ages.get(faces_records.as_code(text), text.replace("_", "?")))
    except ValueError:
        date = DATE.fullmatch(text.strip())
        what = "a date, which a spreadsheet made of a bin such as 3-9" if date else "no number of years"
        return empty, f"age {text.strip()!r} is {what}"
    inside = 0 <= years <= target.units - 1
    return (years, "") if inside else (empty, f"age {text.strip()!r} is not 0 to {target.units - 1}")


def _box(cells: Sequence[str], kind: str | None) -> tuple[list[float], str]:
    """Return (left, top, right, bottom in pixels, reason that there is no box); of empty cells, NaN and no reason.

    kind: `size` where the cells are left, top, width, height.
    """
    none, text = [np.nan] * 4, ",".join(map(str.strip, cells))
    if not any(map(faces_records.as_known, cells)):
        return none, ""
    try:
        left, top, right, bottom = ends = [float(cell.replace("_", "?")) for cell in cells]
    except ValueError:
        ends = [np.nan]
    if not np.isfinite(ends).all():
        return none, f"box is not four numbers: {text}"
    if kind == "size":
        right, bottom = left + right, top + bottom
    wide = right - left >= 1 and bottom - top >= 1
    return ([left, top, right, bottom], "") if wide else (none, f"{EMPTY_BOX}: {text}")


def _middle(age: float | list[int]) -> float:
    """An age in years, or the middle of a bin of whole years: 6.5 of [3, 9], whose faces are up to a day below 10."""
    return (age[0] + age[1] + 1) / 2 if isinstance(age, list) else age


def _age_bin(text: str, age: float, settings: params.Table) -> list[float]:
    """First and last year of a cell's bin; twice the age where it is none."""
    ranges = {faces_records.as_code(name): years for name, years in settings.ages.items() if isinstance(years, list)}
    return ranges.get(faces_records.as_code(text), [age, age])  # type: ignore[return-value]


def _merge_repeats(out: pd.DataFrame) -> pd.DataFrame:
    """Keep one record per image; it is rejected where the image's usable rows disagree. Unnamed ones all stay."""
    usable = out[out["reject"] == ""]
    counts, distinct = (rows.groupby("face_id").size() for rows in (usable, usable.astype(str).drop_duplicates()))
    rows = pd.concat([usable, out[out["reject"] != ""]])
    first = ~rows["face_id"].duplicated() | (rows["face_id"] == "")
    kept = rows[first].sort_values("face_id", kind="stable")
    disagree = kept["face_id"].isin(distinct[distinct > 1].index)
    reasons = [f"{counts[face]} rows of this image disagree" for face in kept["face_id"][disagree]]
    kept.loc[disagree, "reject"] = reasons
    return kept
