"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import tqdm

EVERY = 20.0  # seconds between lines where there is no terminal


def say(text: str) -> None:
    """Write one line for the person who watches."""
    tqdm.tqdm.write(text, file=sys.stderr)


def epoch(what: str, number: int, total: int, numbers: dict[str, float]) -> None:
    """Say how an epoch of a training went, `number` counting from 0."""
    shown = ", ".join(f"{name} {value:.3f}" for name, value in numbers.items() if name != "epoch")
    say(f"{what} epoch {number + 1} of {total}: {shown}")


def steps(what: str, total: int) -> tqdm.tqdm:
    """A bar of steps on a terminal, to be updated and closed; nothing elsewhere."""
    return tqdm.tqdm(desc=what, total=total, unit="step", leave=False, disable=None)


def bar(items: Iterable, what: str, total: int | None = None, unit: str = "") -> Iterator:
    """Pass items on, showing how many went by."""
    if sys.stderr.isatty():
        yield from tqdm.tqdm(items, desc=what, total=total, unit=unit or "it", leave=False)
        return
    due = clock()
    for count, item in enumerate(items):
        if passed := due():
            of = f" of {total}" if total else ""
            say(f"{what}: {count}{of} {unit} in {passed:.0f} s")
        yield item


@contextlib.contextmanager
def meter(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show bytes that arrive: yields tell(so far, of how many, None where unknown)."""
    if sys.stderr.isatty():
        with tqdm.tqdm(desc=what, unit="B", unit_scale=True, leave=False) as shown:

            def draw(so_far: int, total: int | None) -> None:
                shown.total = total
                shown.update(so_far - shown.n)

            yield draw
        return
    due = clock()

    def line(so_far: int, total: int | None) -> None:
        if passed := due():
            of = f" of {total / 1e6:.0f}" if total else ""
            say(f"{what}: {so_far / 1e6:.0f}{of} MB in {passed:.0f} s")

    yield line


def clock() -> Callable[[], float]:
    """A function that answers the seconds since now where EVERY passed since it last did, else 0."""
    start = last = time.monotonic()

    def due() -> float:
        nonlocal last
        now = time.monotonic()
        if now - last < EVERY:
            return 0.0
        last = now
        return now - start

    return due
