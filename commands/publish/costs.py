"""What a training took, for tables: minutes by when its epochs were logged, and on what machine."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from faces import params
from faces.data import provenance, records
from faces.tracking import runs, store

LEAST = 0.5  # seconds that an epoch takes


def of(name: str, row: params.Model) -> dict:
    """Epochs, minutes of training and the machine of a trained model; epochs of its teachers, and of each trial.

    minutes and machine are '' where they are unknown.
    """
    from faces.training import input_pipeline

    folder = Path("data/models") / name
    found, epochs = json.loads((folder / "model.json").read_text()), len(records.read(folder / "history.csv"))
    tuned = json.loads(Path(f"data/tuned/{name}.json").read_text())
    settings, planned = params.Train(**found["recipe"]["train"]), found["recipe"]["budget"]["epochs"]
    noted = provenance.read(row.dataset, row.variant)
    client, experiment = store.open_experiment(provenance.store_name(row.dataset, noted))
    machine, ends = runs.timings(client, experiment, found["fingerprint"])
    took = minutes(ends, [input_pipeline.side_shown(settings, epoch, planned) for epoch in range(len(ends))])
    return {
        "epochs": epochs,
        "minutes": took,
        "machine": machine if took else "",
        "teachers": teachers(row.lesson),
        "trials": [len(trial["history"]) for trial in tuned["trials"]],
    }


def teachers(lesson: str) -> dict[str, int]:
    """Epochs that each teacher, and assistant, of a lesson was trained for; they are not in what the model took."""
    path = Path("data/lessons") / lesson / "history.csv"
    if not path.exists():
        return {}
    return {str(who): int(n) for who, n in records.read(path).groupby("teacher", sort=False).size().items()}


def minutes(ends: list[float], sides: list[int]) -> float | str:
    """What epochs took, from when each was logged, in seconds, and the side that each showed; '' where that is unknown.

    By the median epoch of each side: a training that was stopped for a while, and went on, took no longer for it.
    Epochs that were all logged at once were trained elsewhere, or are from DVC's cache.
    """
    took: dict[int, list[float]] = {}
    for (before, now), side in zip(pairwise(ends), sides[1:], strict=True):
        took.setdefault(side, []).append(now - before)
    each = {side: float(np.median(found)) for side, found in took.items()}
    if not each or min(each.values()) < LEAST:
        return ""
    return round(sum(each.get(side, max(each.values())) for side in sides) / 60, 1)
