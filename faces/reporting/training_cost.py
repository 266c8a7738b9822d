"""Cost of a training, for tables: epochs, minutes by the times at which epochs were logged, and the machine."""

from pathlib import Path

import pandas as pd

from faces import params
from faces.data import provenance, records
from faces.params import overrides
from faces.tracking import runs, store

MIN_SECONDS = 0.5  # of an epoch that was trained here


def training_cost(name: str, row: params.Model) -> dict:
    """Epochs, minutes of training and machine of a trained model; epochs of its teachers, and of each trial.

    minutes and machine are '' where they are unknown.
    """
    from faces.training import input_pipeline

    folder = Path("data/models") / name
    about = records.read_json(folder / "model.json")
    settings, planned = overrides.from_recipe(about["recipe"]), about["recipe"]["budget"]["epochs"]
    name_in_store = provenance.store_name(row.dataset, provenance.read(row.dataset, row.variant))
    client, experiment = store.open_experiment(name_in_store)
    machine, ends = runs.timings(client, experiment, about["fingerprint"])
    took = minutes(ends, [input_pipeline.side_shown(settings, epoch, planned) for epoch in range(len(ends))])
    return {
        "epochs": len(records.read(folder / "history.csv")),
        "minutes": took,
        "machine": machine if took else "",
        "teachers": teacher_epochs(row.teachers),
        "trials": [len(trial["history"]) for trial in records.read_json(f"data/tuned/{name}.json")["trials"]],
    }


def teacher_epochs(name: str) -> dict[str, int]:
    """Epochs of each teacher, and assistant, of a row of `teachers`; the model's own minutes do not include them."""
    path = Path("data/soft_targets") / name / "history.csv"
    if not path.exists():
        return {}
    return {str(teacher): int(n) for teacher, n in records.read(path).groupby("teacher", sort=False).size().items()}


def minutes(ends: list[float], sides: list[int]) -> float | str:
    """Minutes of a training, from when each epoch was logged, in seconds, and its image side in pixels; '' if unknown.

    Sums the median epoch of each side, so that a pause between two epochs does not count. It is unknown where all
    epochs were logged at once: they were trained elsewhere, or are from DVC's cache.
    """
    median = pd.Series(ends, sides).diff().dropna().groupby(level=0).median()  # seconds
    if not len(median) or median.min() < MIN_SECONDS:
        return ""
    return round(float(sum(median.get(side, median.max()) for side in sides)) / 60, 1)
