"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator

import tqdm

EVERY = 20.0  # seconds between lines where there is no terminal


def say(text: str) -> None:
    """Write one line for the person who watches."""
    tqdm.tqdm.write(text, file=sys.stderr)


def bar(items: Iterable, what: str, total: int | None = None, unit: str = "") -> Iterator:
    """Pass items on, showing how many went by."""
    if sys.stderr.isatty():
        yield from tqdm.tqdm(items, desc=what, total=total, unit=unit or "it", leave=False)
        return
    start = last = time.monotonic()
    for count, item in enumerate(items):
        now = time.monotonic()
        if now - last >= EVERY:
            last = now
            of = f" of {total}" if total else ""
            say(f"{what}: {count}{of} {unit} in {now - start:.0f} s")
        yield item
