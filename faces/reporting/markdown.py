"""Markdown of numbers, tables and quotes."""

from collections.abc import Iterable

import pandas as pd


def table(rows: list[dict]) -> str:
    """A table of cells that are text already; missing cells are empty."""
    return pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True) if rows else "None.\n"


def interval(row: dict | pd.Series, digits: int = 3) -> str:
    """`0.821 [0.759, 0.883]` of a value, low and high, or `n too small` where the value is NaN."""
    if row["value"] != row["value"]:
        return "n too small"
    return f"{row['value']:.{digits}f} [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"


def difference(row: dict, digits: int, sign: int = 1) -> str:
    """`+0.12 [-0.03, +0.27]` of a difference, low and high, times sign, 1 or -1."""
    low, high = sorted((sign * row["low"], sign * row["high"]))
    return f"{sign * row['difference'] + 0.0:+.{digits}f} [{low + 0.0:+.{digits}f}, {high + 0.0:+.{digits}f}]"


def quotes(texts: Iterable[str]) -> list[str]:
    """Lines that show each text once, as a quote."""
    return [line for text in dict.fromkeys(texts) for line in (f"> **{text}**", "")]
