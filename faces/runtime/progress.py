"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import contextlib
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import tqdm

WIDTH = 100  # characters of a line
INTERVAL = 20.0  # seconds between lines where there is no terminal


def say(text: str) -> None:
    """Write lines to the user on stderr, each folded where it is wider than WIDTH."""
    fold = textwrap.TextWrapper(WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False).fill
    tqdm.tqdm.write("\n".join(map(fold, text.splitlines())), file=sys.stderr)


class Epochs:
    """Writes a line for each epoch of a training, with its scores and the remaining time."""

    def __init__(self, name: str, total: int) -> None:
        """Start the clock. total: epochs, of which an earlier process may have run some."""
        self.name, self.total, self.done = name, total, 0
        self.restart()

    def restart(self) -> None:
        """Restart the clock unless an epoch is done: the training waited for another."""
        if not self.done:
            self.start = time.monotonic()

    def __call__(self, number: int, numbers: dict[str, float]) -> None:
        """Write the line of epoch `number`, from 0.

        numbers: its loss, and its validation scores as val_NAME. One score per target is shown, or else val_score.
        """
        self.done += 1
        left = (time.monotonic() - self.start) / self.done * (self.total - number - 1)
        scores = {name.removeprefix("val_"): value for name, value in numbers.items() if name.startswith("val_")}
        shown = [name for name in scores if name.endswith(("_mae", "_accuracy"))] or ["score"]
        text = ", ".join(f"{name.removesuffix('_accuracy').replace('_', ' ')} {scores[name]:.3g}" for name in shown)
        say(
            f"{self.name}, epoch {number + 1} of {self.total}: loss {numbers['loss']:.2f}; val {text}; "
            f"{duration(left)} left"
        )


def counts(numbers: Mapping[str, int]) -> str:
    """Counts as text: `copy of another: 47; no cropped picture: 2`."""
    return "; ".join(f"{name.replace('_', ' ')}: {number}" for name, number in numbers.items())


def duration(seconds: float) -> str:
    """A rounded duration: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def steps(name: str, total: int) -> tqdm.tqdm:
    """A bar of steps on a terminal, to be updated and closed by the caller; nothing elsewhere."""
    return tqdm.tqdm(desc=name, total=total, unit="step", leave=False, disable=None)


def bar(items: Iterable, name: str, total: int | None = None, unit: str = "") -> Iterator:
    """Yield the items and show how many have passed."""
    if sys.stderr.isatty():
        yield from tqdm.tqdm(items, desc=name, total=total, unit=unit or "it", leave=False)
        return
    elapsed = timer()
    for count, item in enumerate(items):
        if seconds := elapsed():
            share = f"{count} of {total}" if total else count
            say(f"{name}: {share} {unit} in {seconds:.0f} s")
        yield item


@contextlib.contextmanager
def meter(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show the progress of a download: yields update(bytes received, total bytes or None where unknown)."""
    if sys.stderr.isatty():
        with tqdm.tqdm(desc=name, unit="B", unit_scale=True, leave=False) as shown:

            def update(received: int, total: int | None) -> None:
                shown.total = total
                shown.update(received - shown.n)

            yield update
        return
    elapsed = timer()

    def write_line(received: int, total: int | None) -> None:
        if seconds := elapsed():
            share = f"{received / 1e6:.0f} of {total / 1e6:.0f}" if total else f"{received / 1e6:.0f}"
            say(f"{name}: {share} MB in {seconds:.0f} s")

    yield write_line


def timer() -> Callable[[], float]:
    """Return a function that returns the seconds since now once per INTERVAL, otherwise 0."""
    start = last = time.monotonic()

    def elapsed() -> float:
        nonlocal last
        now = time.monotonic()
        if now - last < INTERVAL:
            return 0.0
        last = now
        return now - start

    return elapsed
