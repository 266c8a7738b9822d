"""Several trainings: one after the other on this machine, side by side on a cluster; each gives the same either way."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from faces import params
from faces.data.labelled_faces import Faces
from faces.runtime import executor
from faces.training import callbacks, loop, reproducibility


@dataclass(frozen=True)
class Job:
    """One of several trainings of a row of models: what training.fit takes that may differ from one to the next."""

    settings: params.Train
    epochs: int
    minutes: float | None = None
    place: Path | None = None
    bar: tuple[float, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """What a training came to: the best averaged weights, and of training.Validation what is kept."""

    weights: list[np.ndarray]
    history: list[dict[str, float]]
    best_epoch: int
    cut_short: bool
    floors: dict[str, float | str]


def run(
    jobs: Sequence[Job],
    tell: Callable[[int, int, dict[str, float]], None],
    row: params.Model,
    train: Faces,
    val: Faces,
    side: int,
    precision: str,
    lesson: dict[str, np.ndarray] | None = None,
) -> Iterator[tuple[int, Fitted]]:
    """Train a row of models by each job, and yield (number of the job, what it came to) as they end.

    tell: called with the number of the job, that of the epoch, from 0, and its numbers. The rest is as in training.fit
    and training.prepare, which every training is begun with. A state that an earlier process kept in a job's place is
    gone on from, on a cluster where the machine that trains has that folder.
    """
    cpus, gpus = (max(getattr(job.settings, name) for job in jobs) for name in ("threads", "replicas"))
    shared = {"row": row, "train": train, "val": val, "side": side, "precision": precision, "lesson": lesson}
    yield from executor.run_jobs(one, jobs, tell, cpus, gpus, **shared)


def one(
    job: Job,
    tell: callbacks.Log,
    row: params.Model,
    train: Faces,
    val: Faces,
    side: int,
    precision: str,
    lesson: dict[str, np.ndarray] | None,
) -> Fitted:
    """Train by one job."""
    reproducibility.prepare(job.settings.threads, job.settings.seed, precision)
    place = job.place if job.place and job.place.exists() else None
    model, found = loop.fit(row, train, val, job.settings, side, job.epochs, tell, job.minutes, place, lesson, job.bar)
    return Fitted(model.get_weights(), found.history, found.best_epoch, found.cut_short, found.floors)


def model(row: params.Model, settings: params.Train, precision: str, found: Fitted) -> keras.Model:
    """The model of a row that a training came to, on this machine."""
    reproducibility.prepare(settings.threads, settings.seed, precision)
    built = loop.build_network(row, settings)
    built.set_weights(found.weights)
    return built
