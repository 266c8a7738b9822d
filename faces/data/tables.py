"""Labels files: CSV or Parquet as rows of text, and images from a column of pixels."""

import codecs
import csv
import gzip
import io
import re
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from faces.data import archives
from faces.data.archives import ArchiveError

PIXELS = "pixels"
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
SAVE = "save it as CSV (UTF-8) or Parquet"
KINDS = {b"PK": f"an Excel workbook, or a zip: {SAVE}", b"\xd0\xcf\x11\xe0": f"an old Excel workbook: {SAVE}",
         b"{": f"JSON: {SAVE}", b"[": f"JSON: {SAVE}", b"<": f"a web page, or XML: {SAVE}",
         archives.LFS: archives.LFS_FAULT}  # fmt: skip


def load(path: Path) -> pd.DataFrame:
    """Read the rows of a CSV (any separator, also gzipped) or Parquet file, all as text, '' where empty.

    The first bytes tell which it is. Names of columns are stripped, and composed (Unicode NFC). A cell that holds an
    image's file is empty.
    Raises ArchiveError where it cannot be read, has no rows, or a row has more fields than the header.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        rows = parquet(content) if content.startswith(b"PAR1") else parse(as_text(content))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ArchiveError(f"{path}: cannot be read as a table: {error}") from None
    rows.columns = [unicodedata.normalize("NFC", str(name)).strip() for name in rows]
    if not len(rows):
        raise ArchiveError(f"{path}: has no rows")
    return rows


def as_text(content: bytes) -> str:
    """The text of a CSV, by its byte order mark, else UTF-8, with Unix line ends. Raises ValueError."""
    for start, name in KINDS.items():
        if content.startswith(start):
            raise ValueError(f"it is {name}")
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = unix(content.decode("utf-16" if utf16 else "utf-8").lstrip("\ufeff"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not UTF-8: save it as CSV in UTF-8") from None
    if "\0" in text:  # UTF-16 without its mark, a file of a program, or one that a full disk filled up
        line = text.partition("\0")[0].count("\n") + 1
        raise ValueError(f"line {line} has zero bytes: {SAVE}")
    return text


def unix(text: str) -> str:
    """Text with Unix line ends; another's in a cell would end the row of a record."""
    return re.sub(r"\r\n?", "\n", text)


def parse(text: str) -> pd.DataFrame:
    """Rows of a CSV's text, whose separator is the one that divides its first line into most columns.

    Blanks separate only where that line has no other separator, and several are one. Fields that a row lacks at its end
    are empty; empty ones that it has too many are dropped. Blanks after a separator do not count. Raises ValueError.
    """
    csv.field_size_limit(1 << 30)
    lines = io.StringIO(text, newline="")
    head = re.match(r"sep=(.)\n", text)  # a line that Excel writes and reads
    separators = head[1] if head else ",;\t|"
    lines.seek(head.end() if head else 0)
    first = next((line for line in lines if line.strip()), "")
    widths = {mark: len(next(csv.reader([first], delimiter=mark, skipinitialspace=True), [])) for mark in separators}
    separator = max(widths, key=lambda mark: widths[mark])
    blank = widths[separator] < 2 <= len(first.split()) and '"' not in first
    lines.seek(head.end() if head else 0)
    texts = (f"{line.strip()}\n" for line in lines) if blank else lines
    reader = csv.reader(texts, delimiter=" " if blank else separator, skipinitialspace=True, strict=True)
    header: list[str] = []
    rows = []
    try:
        for fields in reader:
            filled = len(" ".join(fields).rstrip())
            if filled and not header:
                header = fields
            elif any(map(str.strip, fields[len(header) :])):
                raise csv.Error(f"{len(fields)} fields, and the header has {len(header)}")
            elif not blank and has_rows_in_a_cell(fields, len(header), separator):
                raise csv.Error("a cell has whole rows in it: a quotation mark before them is not meant as one")
            elif filled:
                rows.append(fields[: len(header)] + [""] * (len(header) - len(fields)))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    return pd.DataFrame(rows, columns=header, dtype=object)


def has_rows_in_a_cell(fields: list[str], width: int, separator: str) -> bool:
    """Whether a cell of a row goes on where a row of `width` fields would end: it is then several rows.

    Of two columns, any text of two lines with one comma may look so.
    """
    for place, cell in enumerate(fields):
        if "\n" in cell and width > 2:
            counts = [len(row) for row in csv.reader(cell.split("\n"), delimiter=separator, quoting=csv.QUOTE_NONE)]
            if counts == [width - place, *[width] * (len(counts) - 2), place + 1]:
                return True
    return False


def as_cell(value: object) -> str:
    """A value of a Parquet or JSON file as text, bytes too if they are UTF-8; '' for none, and for an image's file."""
    if isinstance(value, bytes):
        try:
            return unix(value.decode())
        except UnicodeDecodeError:
            return ""
    missing = value is None or isinstance(value, dict) or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))
    return "" if missing else unix(f"{value}")


def parquet(content: bytes) -> pd.DataFrame:
    """Rows of a Parquet file as text. Raises ValueError."""
    try:
        rows = pd.read_parquet(io.BytesIO(content))
        rows = rows.reset_index() if any(rows.index.names) else rows
        return rows.apply(lambda column: column.map(as_cell))
    except Exception as error:  # noqa: BLE001 - pandas raises anything for a damaged file, also for text in another code
        raise ValueError(" ".join(f"{type(error).__name__}: {error}".split())) from None


def pixel_names(count: int) -> list[str]:
    """Names of the images made from a column of pixels, row by row."""
    return [f"pixels/{i:07d}.png" for i in range(1, count + 1)]


def write_pixels(labels: Path, path: Path) -> None:
    """Write a tar of the images in a table, in the order of its rows.

    They are in the column `pixels` (`70 80 82 ...`, a square of grey values), or the files in the one column of a
    Parquet file that has such. Raises ArchiveError where there is no such column.
    """
    rows = load(labels)
    columns = files(labels)
    if PIXELS not in rows and len(columns) != 1:
        fault = f"several columns of images: {', '.join(columns)}" if columns else f"no column {PIXELS!r}, or of files,"
        raise ArchiveError(f"{labels}: has {fault} to read images from; it has {', '.join(rows)}")
    images = map(_png, rows[PIXELS]) if PIXELS in rows else next(iter(columns.values()))
    with path.open("wb") as file:
        archives.write_tar(file, zip(pixel_names(len(rows)), images, strict=True))


def files(path: Path) -> dict[str, list[bytes]]:
    """Columns of a Parquet file that hold images' files, as bytes or as {bytes, path} of Hugging Face's datasets."""
    with path.open("rb") as file:
        if file.read(4) != b"PAR1":
            return {}
    rows = pd.read_parquet(path)
    contents = {
        str(name): [value.get("bytes") if isinstance(value, dict) else value for value in rows[name]] for name in rows
    }
    return {
        name: [value or b"" for value in values]
        for name, values in contents.items()
        if any(isinstance(value, bytes) for value in values)
    }


def _png(text: str) -> bytes:
    """PNG of a square of grey values, between which are blanks or commas; else the text itself, which is no image."""
    try:
        values = np.array(re.sub(r"[\[\],]", " ", text).split(), int)
    except (ValueError, OverflowError):
        return text.encode()
    side = round(len(values) ** 0.5)
    if not len(values) or side * side != len(values) or values.min() < 0 or values.max() > 255:
        return text.encode()
    buffer = io.BytesIO()
    Image.fromarray(values.reshape(side, side).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
