"""How often the gate finds a loss: python -m benchmarks.power [--draws N]. It prints the table of docs/gate.md.

A draw takes the predictions of some test faces from a weaker training of the published model's network, and those of
all others from the published model. The number of faces follows from the loss that is wanted. The faces are drawn at
random: of all test faces, or of one group. The limits of params.yaml are left out.
"""

import argparse
import functools
import itertools
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from faces import params
from faces.evaluation import bootstrap, predictions
from faces.evaluation.predictions import ALL
from faces.gate import baselines, paired, tolerance
from faces.targets import TARGETS

NAME, MODEL = "utkface", "utkface"
WEAKER = Path(__file__).parent / "weaker" / baselines.PREDICTIONS
GROUP = "female"
YEARS, POINTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0), (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
UNITS = {"age": "years", "sex": "of the sexes"}
SEED = 20261128
counts = bootstrap.counts


def main() -> None:
    """Draw, compare and print the percentage of draws that the gate calls regressed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=500, help="for losses among all faces (default: %(default)s)")
    parser.add_argument("--group-draws", type=int, default=200, help=f"of {GROUP} faces (default: %(default)s)")
    args = parser.parse_args()
    for name, label in itertools.product(("age", "sex"), (ALL, GROUP)):
        gap = mean_loss_difference(weak(), published(), name, label, params.load().evaluate.min_group_size)
        print(f"the weaker training, {name}, {label}: {gap:+.4f}", flush=True)
    losses = [{"age": years} for years in YEARS] + [{"sex": points / 100} for points in POINTS]
    losses.append({"age": 0.35, "sex": 0.016})
    with ProcessPoolExecutor(2, initializer=share_counts) as pool:
        for label, draws in ((ALL, args.draws), (GROUP, args.group_draws)):
            print(f"\n| loss among {label} | regressed, % of {draws} draws [95 % interval] |\n| --- | --- |")
            for loss in losses:
                draw = pool.map(regressed, itertools.repeat(loss, draws), itertools.repeat(label), range(draws))
                title = " and ".join(f"{lost:g} {UNITS[name]}" for name, lost in loss.items())
                print(f"| {title} | {as_text([*draw])} |", flush=True)


def as_text(regressions: list[bool | None]) -> str:
    """`83 [79, 86]`: the percentage of draws, with its exact interval."""
    if None in regressions:
        return "the weaker training loses less"
    low, high = bootstrap.exact(np.mean(regressions), len(regressions), 0.95)
    return f"{100 * np.mean(regressions):.0f} [{100 * low:.0f}, {100 * high:.0f}]"


@functools.cache
def published() -> pd.DataFrame:
    """Predictions of the published model, as the baseline has them."""
    return predictions.nameless(baselines.load(NAME).predictions[MODEL])


@functools.cache
def weak() -> pd.DataFrame:
    """Predictions of the weaker training for the same faces, in the same order."""
    rows = predictions.nameless(baselines.unpack(WEAKER.read_bytes(), str(WEAKER))[MODEL])
    assert predictions.aligned(rows, published()) == ""
    return rows


def mean_loss_difference(
    candidate: pd.DataFrame, baseline: pd.DataFrame, name: str, label: str, min_group_size: int
) -> float:
    """Mean loss of a candidate less a baseline's, over the faces of a slice whose label is known."""
    difference = paired.loss(TARGETS[name], candidate) - paired.loss(TARGETS[name], baseline)
    return float(np.nanmean(difference[paired.slices(baseline, min_group_size)[label]]))


def mixed(losses: dict[str, float], label: str, draw: int, min_group_size: int) -> pd.DataFrame | None:
    """Predictions that lose so much in a slice, {target: mean loss}; None where the weaker training loses less."""
    baseline, weaker = published(), weak()
    inside = np.flatnonzero(paired.slices(baseline, min_group_size)[label])
    order = np.random.default_rng([SEED, draw]).permutation(inside)
    rows = baseline.copy()
    for name, lost in losses.items():
        share = lost / mean_loss_difference(weaker, baseline, name, label, min_group_size)
        if not 0 <= share <= 1:
            return None
        columns = [f"{name}_{end}" for end in predictions.PREDICTED[TARGETS[name].kind]]
        taken = order[: round(share * len(order))]
        rows.iloc[taken, rows.columns.get_indexer(columns)] = weaker.iloc[taken][columns]
    return rows


def regressed(losses: dict[str, float], label: str, draw: int) -> bool | None:
    """Whether the gate calls a draw regressed, by the code of the gate; None where `mixed` returns None.

    Of a loss among all faces, only the comparisons of all faces are made: their p does not depend on those of groups.
    """
    baseline, p = published(), params.load()
    candidate = mixed(losses, label, draw, p.evaluate.min_group_size)
    if candidate is None:
        return None
    least = len(baseline) * 2 // 3 if label == ALL else p.evaluate.min_group_size
    settings = p.evaluate.model_copy(update={"min_group_size": least})
    sizes = tolerance.slice_sizes(baseline, least)
    table = paired.compare(candidate, baseline, tolerance.tolerances(seed_sd(), sizes, p.gate), settings)
    return bool((table["verdict"] == paired.REGRESSED).any())


@functools.cache
def seed_sd() -> pd.DataFrame:
    """The spread of seeds of the published model, without rows if it was not measured."""
    rows = baselines.load(NAME).seed_sd
    return rows[rows["model"] == MODEL]


def share_counts() -> None:
    """Draw the counts of the bootstrap once: the gate draws them again for each comparison, from the same seed."""
    bootstrap.counts = same_counts


@functools.cache
def same_counts(people: int, samples: int, seed: int) -> list[np.ndarray]:
    """What bootstrap.counts yields."""
    return [*counts(people, samples, seed)]


if __name__ == "__main__":
    main()
