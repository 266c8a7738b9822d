"""Train the teachers of a lesson, and write what they say of the faces: packs, split -> data/lessons/LESSON/."""

import io
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


def main(name: str) -> None:
    """Train one teacher after the other, each going on where it was stopped, and write the mean of what they say.

    Where a lesson has assistants, these learn from that mean, and what they say is written.
    """
    p = params.load()
    rounds = params.teachers(p.lessons[name])
    out = Path("data/lessons") / name
    if not rounds:
        soft_targets.write(out, np.array([], str), {})
        progress.say(f"lesson {name} has no teachers: its models learn from labels alone")
        return
    from faces.training import jobs  # noqa: F401 - here, since a lesson of no teachers needs no TensorFlow

    rows = [row for each in rounds.values() for row in each]
    key = fingerprint.of("teach", name, rows, p, ("train", "budget", "budgets", "lessons"), [])
    history: list[pd.DataFrame] = []
    with running.unfinished("teach", name, key) as place:
        before = None
        for kind, each in rounds.items():
            (place / kind).mkdir(exist_ok=True)
            told = [teach(name, number, each, p, place / kind, before) for number in range(len(each))]
            said, ids, epochs = zip(*told, strict=True)
            history += epochs
            before = place / kind
            soft_targets.write(before, ids[0], mean(said))
    soft_targets.write(out, ids[0], mean(said))
    records.write(pd.concat(history).round(6), out / "history.csv")


def teach(
    name: str, number: int, rows: list[params.Model], p: params.Params, place: Path, before: Path | None
) -> tuple[dict[str, np.ndarray], np.ndarray, pd.DataFrame]:
    """Train one of the teachers, or of their assistants, or take what an earlier run kept of it.

    place: where those of its round are kept, a folder called teachers or assistants; before: the lesson that it learns
    from, beside the labels.
    Returns the probabilities {target: (n, units)} of training faces, NaN of those that it may not speak of, their ids
    (n,), and a row an epoch.
    """
    from faces.training import callbacks, jobs, reproducibility

    row, kept, who = rows[number], place / f"{number}.npz", f"{place.name.removesuffix('s')} {number + 1}"
    pack, split = labelled_faces.open_pack(row)
    own, row = overrides.for_row(p, row, pack.manifest["kind"])
    budget, settings = overrides.budget_for(own, pack.manifest["kind"]), own.train
    train, ids = labelled_faces.select_part(split, pack, "train", row.targets)
    if not kept.exists():
        val, _ = labelled_faces.select_part(split, pack, "val", row.targets)
        out = left_out(ids, number, len(rows)) if p.lessons[name].held_out else np.zeros(len(ids), bool)
        seen = train.where(~out)
        progress.say(f"{name}, {who} of {len(rows)}: training on {len(seen)} faces")
        say = progress.Epochs(f"{name}, {who}", budget.epochs)
        folder = place / f"{number}"
        folder.mkdir(exist_ok=True)
        side = pack.manifest["side"]
        taught = soft_targets.read(before, ids[~out], row.targets) if before else None
        precision = reproducibility.resolved(budget.precision)
        job = jobs.Job(settings, budget.epochs, budget.train_minutes, folder)
        ((_, found),) = jobs.run([job], lambda _, *told: say(*told), row, seen, val, side, precision, taught)
        model = jobs.model(row, settings, precision, found)
        told = out if out.any() else np.ones(len(ids), bool)
        batches = [
            callbacks.probabilities(model, images, 2)
            for images in labelled_faces.pixels(train.where(told), *labelled_faces.view(side, settings))
        ]
        said = {}
        for target in row.targets:
            p_told = np.concatenate([batch[target] for batch in batches])
            said[target] = np.full((len(ids), p_told.shape[1]), np.nan, np.float32)
            said[target][told] = p_told
        history = pd.DataFrame(found.history).to_csv(index=False)
        running.replace(kept, lambda part: write(part, said, history))
        shutil.rmtree(folder)
    with np.load(kept) as found:
        history = pd.read_csv(io.StringIO(str(found["history"])))
        return {target: found[target] for target in row.targets}, ids, history.assign(teacher=who)


def write(path: Path, said: dict[str, np.ndarray], history: str) -> None:
    """Keep what a teacher says, until all have spoken."""
    with path.open("wb") as file:
        np.savez(file, history=np.array(history), **said)


def left_out(ids: np.ndarray, number: int, count: int) -> np.ndarray:
    """Which faces (n,) teacher `number` of `count` does not see; each face is left out by one."""
    return np.array([zlib.crc32(str(face).encode()) % count == number for face in ids])


def mean(said: tuple[dict[str, np.ndarray], ...]) -> dict[str, np.ndarray]:
    """Mean probabilities {target: (n, units)} of the teachers that speak of a face, NaN where none does."""
    found = {}
    for target in {target: None for each in said for target in each}:
        stacked = np.stack([each[target] for each in said if target in each])
        told = np.isfinite(stacked[:, :, :1])
        total = np.where(told, stacked, 0).sum(axis=0)
        with np.errstate(invalid="ignore"):
            found[target] = total / told.sum(axis=0)
    return found


if __name__ == "__main__":
    running.stage(main)
