"""Time 10,000 bootstrap samples in the gate, intervals and group tables: python -m benchmarks.gate [--faces N].

Predictions are random; one face in ten is of a person who has several.
"""

import argparse
import resource
import sys
import time

import numpy as np
import pandas as pd

from faces import params, targets
from faces.evaluation import score_tables, subgroups
from faces.gate import decisions
from faces.gate.baselines import Baseline

BOUNDS = {5_000: 20, 70_000: 180}  # seconds, at most
MEBIBYTES = 1024


def main() -> None:
    """Make random predictions of two models, then compare, score and group them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=5_000)
    n = parser.parse_args().faces
    p = params.load()
    faces = random_labels(n, 0)
    old, now = random_predictions(faces, 1), random_predictions(faces, 2)
    before = peak()
    whole = time.perf_counter()
    for what, work in (
        (
            "gate",
            lambda: decisions.decide({"m": now}, {"m": {}}, Baseline({"m": {}}, {"m": old}), {}, p.gate, p.evaluate),
        ),
        ("intervals", lambda: intervals(now, p.evaluate)),
        ("groups", lambda: tables(now, p.evaluate)),
    ):
        start = time.perf_counter()
        work()
        print(f"{what}: {time.perf_counter() - start:.1f} s, peak memory {peak():.0f} MiB")
    seconds = time.perf_counter() - whole
    bound = BOUNDS.get(n)
    print(
        f"{n} faces, {p.evaluate.bootstrap_samples} samples: {seconds:.1f} s" + (f" (at most {bound})" if bound else "")
    )
    print(f"peak memory {peak():.0f} MiB (at most {MEBIBYTES}), of which {before:.0f} before the first call")
    if (bound and seconds > bound) or peak() > MEBIBYTES:
        sys.exit(1)


def intervals(rows: pd.DataFrame, settings: params.Evaluate) -> None:
    """The intervals of the stage evaluate."""
    score_tables.part_scores(rows, "test", settings)


def tables(rows: pd.DataFrame, settings: params.Evaluate) -> None:
    """The tables of the stage assess."""
    sums = subgroups.Sums(rows, settings.bootstrap_samples, settings.seed)
    subgroups.group_scores(sums, settings.min_group_size, settings.confidence)
    subgroups.gaps(sums, settings.min_group_size, settings.confidence)


def random_labels(n: int, seed: int) -> pd.DataFrame:
    """Labels and persons of n faces."""
    rng = np.random.default_rng(seed)
    ids = np.char.zfill(np.arange(n).astype(str), 7)
    person = np.where(rng.random(n) < 0.1, rng.integers(0, max(1, n // 50), n), np.arange(n) + n)
    labels = {"age": rng.gamma(6, 6, n).round().clip(0, 110)}
    labels |= {k: rng.choice(t.classes, n) for k, t in targets.TARGETS.items() if t.kind == "classes"}
    return pd.DataFrame({"face_id": ids, "group": person.astype(str), "part": "test", **labels})


def random_predictions(faces: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Predictions of a model for these faces."""
    rng = np.random.default_rng(seed)
    n = len(faces)
    age = (faces["age"] + rng.normal(0, 6, n)).clip(0, 124)
    rows = faces.assign(age_predicted=age, age_mean=age, age_low=age - 10, age_high=age + 10)
    rows["age_bin"] = np.array(targets.AGE_BINS)[targets.age_bin(age)]
    for name, target in targets.TARGETS.items():
        if target.kind == "classes":
            rows[f"{name}_predicted"] = np.where(rng.random(n) < 0.1, rng.choice(target.classes, n), faces[name])
    return rows


def peak() -> float:
    """Peak memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**20


if __name__ == "__main__":
    main()
