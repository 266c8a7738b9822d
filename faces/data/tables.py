"""Labels files: CSV or Parquet as rows of text, and images from a column of pixels."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from faces.data import archives
from faces.data.archives import ArchiveError

PIXELS = "pixels"
PARQUET = (".parquet", ".pq")
SUFFIXES = (".csv", ".tsv", ".txt", *PARQUET)


def load(path: Path) -> pd.DataFrame:
    """Read the rows of a CSV (any separator) or Parquet file, all as text, '' where empty.

    Raises ArchiveError where it cannot be read or has no rows.
    """
    try:
        if path.suffix.lower() in PARQUET:
            rows = pd.read_parquet(path)
            rows = rows.apply(lambda column: column.map(lambda value: "" if pd.isna(value) else f"{value}"))
        else:
            with path.open(encoding="utf-8-sig") as file:
                separator = max(",;\t|", key=file.readline().count)  # the most frequent in the first line
            rows = pd.read_csv(path, dtype=str, keep_default_na=False, sep=separator, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path}: cannot be read as a table: {error}") from None
    if not len(rows):
        raise ArchiveError(f"{path}: has no rows")
    return rows


def pixel_names(count: int) -> list[str]:
    """Names of the images made from a column of pixels, row by row."""
    return [f"pixels/{i:07d}.png" for i in range(1, count + 1)]


def write_pixels(labels: Path, path: Path) -> None:
    """Write a tar of PNGs from the column `pixels` (`70 80 82 ...`, a square of grey values) of a table.

    Raises ArchiveError where there is no such column.
    """
    rows = load(labels)
    if PIXELS not in rows:
        raise ArchiveError(f"{labels}: has no column {PIXELS!r} to read images from; it has {', '.join(rows)}")
    with path.open("wb") as file:
        archives.write_tar(file, zip(pixel_names(len(rows)), map(_png, rows[PIXELS]), strict=True))


def _png(text: str) -> bytes:
    """PNG of a square of grey values; no bytes where the text is not one."""
    try:
        values = np.array(text.split(), int)
    except ValueError:
        return b""
    side = round(len(values) ** 0.5)
    if not len(values) or side * side != len(values) or values.min() < 0 or values.max() > 255:
        return b""
    buffer = io.BytesIO()
    Image.fromarray(values.reshape(side, side).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
