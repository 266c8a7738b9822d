"""Several trainings: in turn on this machine, in parallel on a cluster, with the same results."""

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
    """One training of a row of models: the arguments of loop.fit that may differ from job to job."""

    settings: params.Train
    epochs: int
    minutes: float | None = None
    state_folder: Path | None = None
    required_scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """The result of a training: the best averaged weights, and attributes of callbacks.Validation."""

    weights: list[np.ndarray]
    history: list[dict[str, float]]
    best_epoch: int
    cut_short: bool
    baselines: dict[str, float | str]


def train_all(
    jobs: Sequence[Job],
    on_epoch: Callable[[int, int, dict[str, float]], None],
    row: params.Model,
    train: Faces,
    val: Faces,
    side: int,
    precision: str,
    soft_targets: dict[str, np.ndarray] | None = None,
) -> Iterator[tuple[int, Fitted]]:
    """Train a row of models by each job, and yield (index of the job, result) as they end.

    on_epoch: called with the index of the job, the epoch, from 0, and its numbers. The rest is as in loop.fit and
    reproducibility.prepare, which each training starts with. A state that an earlier process saved in a job's folder
    is continued; on a cluster, where the machine that trains has that folder.
    """
    cpus, gpus = (max(getattr(job.settings, name) for job in jobs) for name in ("threads", "replicas"))
    faces = {"train": train, "val": val, "side": side, "soft_targets": soft_targets}
    yield from executor.run_jobs(train_one, jobs, on_epoch, cpus, gpus, row=row, precision=precision, **faces)


def train_one(
    job: Job,
    on_epoch: callbacks.Log,
    row: params.Model,
    train: Faces,
    val: Faces,
    side: int,
    precision: str,
    soft_targets: dict[str, np.ndarray] | None,
) -> Fitted:
    """Train by one job."""
    reproducibility.prepare(job.settings.threads, job.settings.seed, precision)
    folder = job.state_folder if job.state_folder and job.state_folder.exists() else None
    model, validation = loop.fit(
        row,
        train,
        val,
        job.settings,
        side,
        job.epochs,
        on_epoch,
        minutes=job.minutes,
        state_folder=folder,
        soft_targets=soft_targets,
        required_scores=job.required_scores,
    )
    return Fitted(
        model.get_weights(), validation.history, validation.best_epoch, validation.cut_short, validation.baselines
    )


def trained_model(row: params.Model, settings: params.Train, precision: str, fitted: Fitted) -> keras.Model:
    """The model of a row with the weights of a training, on this machine."""
    reproducibility.prepare(settings.threads, settings.seed, precision)
    model = loop.build_network(row, settings)
    model.set_weights(fitted.weights)
    return model
