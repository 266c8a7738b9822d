"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import contextlib
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import tqdm

WIDTH = 100  # characters of a line
EVERY = 20.0  # seconds between lines where there is no terminal


def say(text: str) -> None:
    """Write lines for the person who watches, each folded where it is wider than WIDTH."""
    fold = textwrap.TextWrapper(WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False).fill
    tqdm.tqdm.write("\n".join(map(fold, text.splitlines())), file=sys.stderr)


class Epochs:
    """Says how each epoch of a training went, and in how many seconds the training will have ended."""

    def __init__(self, what: str, total: int) -> None:
        """Start the clock. total: epochs, of which an earlier process may have done some."""
        self.what, self.total, self.done = what, total, 0
        self.restart()

    def restart(self) -> None:
        """Start the clock anew, where no epoch is done: the training had to wait for another."""
        if not self.done:
            self.start = time.monotonic()

    def __call__(self, number: int, numbers: dict[str, float]) -> None:
        """Write the line of epoch `number`, from 0.

        numbers: its loss, and its scores on validation as val_NAME; of these one of each target, or else val_score.
        """
        self.done += 1
        left = (time.monotonic() - self.start) / self.done * (self.total - number - 1)
        scores = {name.removeprefix("val_"): value for name, value in numbers.items() if name.startswith("val_")}
        shown = [name for name in scores if name.endswith(("_mae", "_accuracy"))] or ["score"]
        told = ", ".join(f"{name.removesuffix('_accuracy').replace('_', ' ')} {scores[name]:.3g}" for name in shown)
        say(
            f"{self.what}, epoch {number + 1} of {self.total}: loss {numbers['loss']:.2f}; val {told}; "
            f"{duration(left)} left"
        )


def counts(found: Mapping[str, int]) -> str:
    """Counts in words: `copy of another: 47; no cropped picture: 2`."""
    return "; ".join(f"{what.replace('_', ' ')}: {count}" for what, count in found.items())


def duration(seconds: float) -> str:
    """A rough length of time: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


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
