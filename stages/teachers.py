"""Train teachers, and write their probabilities as soft targets: packs, split -> data/soft_targets/NAME/."""

import shutil
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from faces import params
from faces.data import labelled_faces, records
from faces.params import overrides
from faces.runtime import progress, running
from faces.training import fingerprint, soft_targets

TITLES = {"models": "teacher", "assistants": "assistant"}


def main(name: str) -> None:
    """Train the teachers one by one, each continuing where it was stopped, and write their mean probabilities.

    Where there are assistants, these learn from that mean, and their own mean is written.
    """
    p = params.load()
    out = Path("data/soft_targets") / name
    if name == params.NO_TEACHERS:
        soft_targets.write(out, np.array([], str), {})
        return
    rounds = params.teacher_rows(p.teachers[name])
    from faces.training import loop, reproducibility  # noqa: F401 - here: without teachers no TensorFlow is needed

    key_rows = [row for rows in rounds.values() for row in rows]
    settings = []
    for row in key_rows:
        values, budget, full = overrides.for_row(p, row)
        budget = budget.model_copy(update={"precision": reproducibility.resolved(budget.precision)})
        settings.append(overrides.recipe(values, budget, full))
    key = fingerprint.key("teachers", name, key_rows, [settings, p.teachers[name].model_dump()], [])
    history: list[pd.DataFrame] = []
    with running.unfinished("teachers", name, key) as state:
        previous = None
        for kind, rows in rounds.items():
            (state / kind).mkdir(exist_ok=True)
            results = [train_teacher(name, number, rows, p, state / kind, previous) for number in range(len(rows))]
            probabilities, ids, epochs = zip(*results, strict=True)
            history += epochs
            previous = state / kind
            soft_targets.write(previous, ids[0], mean(probabilities))
    soft_targets.write(out, ids[0], mean(probabilities))
    records.write(pd.concat(history).round(6), out / "history.csv")


def train_teacher(
    name: str, number: int, rows: list[params.Model], p: params.Params, folder: Path, previous: Path | None
) -> tuple[dict[str, np.ndarray], np.ndarray, pd.DataFrame]:
    """Train one of the teachers, or of their assistants, or load what an earlier run saved of it.

    folder: of its round, called models or assistants; previous: folder of the soft targets that it learns from
    beside the labels.
    Returns the probabilities {target: (n, units)} of training faces, NaN where it was trained on the face and must not
    predict it, their ids (n,), and a row an epoch.
    """
    from faces.training import callbacks, loop, reproducibility

    row, file, title = rows[number], folder / f"{number}.pickle", f"{TITLES[folder.name]} {number + 1}"
    if file.exists():
        return pd.read_pickle(file)
    pack, split = labelled_faces.open_pack(row)
    settings, budget, row = overrides.for_row(p, row)
    (train, ids), (val, _) = (labelled_faces.select_part(split, pack, part, row.targets) for part in ("train", "val"))
    unseen = fold(ids, number, len(rows)) if p.teachers[name].out_of_fold else np.zeros(len(ids), bool)
    seen = train.where(~unseen)
    progress.say(f"{name}, {title} of {len(rows)}: training on {len(seen)} faces")
    say = progress.Epochs(f"{name}, {title}", budget.epochs)
    state = folder / f"{number}"
    state.mkdir(exist_ok=True)
    side = pack.manifest["side"]
    soft = soft_targets.read(previous, ids[~unseen], row.targets) if previous else None
    precision = reproducibility.resolved(budget.precision)
    job = loop.Job(settings, budget.epochs, budget.train_minutes, state)
    ((_, fitted),) = loop.train_all([job], lambda _, *epoch: say(*epoch), row, seen, val, side, precision, soft)
    model = loop.trained_model(row, settings, precision, fitted)
    predicted = unseen if unseen.any() else np.ones(len(ids), bool)
    batches = [
        callbacks.probabilities(model, images, tta_flip=True)
        for images in labelled_faces.pixels(train.where(predicted), *labelled_faces.view(side, settings))
    ]
    probabilities = {}
    for target in row.targets:
        values = np.concatenate([batch[target] for batch in batches])
        probabilities[target] = np.full((len(ids), values.shape[1]), np.nan, np.float32)
        probabilities[target][predicted] = values
    result = probabilities, ids, pd.DataFrame(fitted.history).assign(teacher=title)
    running.replace(file, lambda part: pd.to_pickle(result, part))
    shutil.rmtree(state)
    return result


def fold(ids: np.ndarray, number: int, count: int) -> np.ndarray:
    """Mask (n,) of the faces that teacher `number` of `count` is not trained on; each face is in one fold."""
    return np.array([zlib.crc32(str(face).encode()) % count == number for face in ids])


def mean(predicted: tuple[dict[str, np.ndarray], ...]) -> dict[str, np.ndarray]:
    """Mean probabilities {target: (n, units)} of the teachers that predict a face, NaN where none does."""
    means = {}
    for target in {target: None for probabilities in predicted for target in probabilities}:
        stacked = np.stack([probabilities[target] for probabilities in predicted if target in probabilities])
        known = np.isfinite(stacked[:, :, :1])
        total = np.where(known, stacked, 0).sum(axis=0)
        with np.errstate(invalid="ignore"):
            means[target] = total / known.sum(axis=0)
    return means


if __name__ == "__main__":
    running.stage(main)
