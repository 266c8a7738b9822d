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
    """Counts as text: `copy of another: 47; no cropped image: 2`."""
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
    with meter(name, unit) as update:
        for count, item in enumerate(items):
            update(count, total)
            yield item


@contextlib.contextmanager
def meter(name: str, unit: str = "MB") -> Iterator[Callable[[int, int | None], None]]:
    """Show progress: yields update(count, total or None where unknown); where the unit is MB, both are in bytes."""
    start = last = time.monotonic()
    scale = 1_000_000 if unit == "MB" else 1
    shown_unit = "B" if unit == "MB" else unit or "it"
    with tqdm.tqdm(desc=name, unit=shown_unit, unit_scale=scale > 1, leave=False, disable=None) as shown:

        def update(count: int, total: int | None) -> None:
            nonlocal last
            shown.total = total
            shown.update(count - shown.n)
            now = time.monotonic()
            if shown.disable and now - last >= INTERVAL:
                last = now
                share = f"{count / scale:.0f} of {total / scale:.0f}" if total else f"{count / scale:.0f}"
                say(f"{name}: {share} {unit} in {now - start:.0f} s")

        yield update
