"""Training networks: jobs, in turn or on a cluster with the same results; build, compile, fit, resume."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from faces import networks, params, targets
from faces.data.labelled_faces import Faces
from faces.runtime import executor
from faces.training import callbacks, input_pipeline, losses, optimizers, reproducibility
from faces.training.start import Start, is_head, put


@dataclass(frozen=True)
class Job:
    """One training of a row of models: the arguments of `fit` that may differ from job to job."""

    settings: params.Settings
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
    baselines: dict[str, float]
    face_scores: np.ndarray


def train_all(
    jobs: Sequence[Job],
    on_epoch: Callable[[int, int, dict[str, float]], None],
    row: params.Model,
    train: Faces,
    val: Faces,
    side: int,
    precision: str,
    soft_targets: dict[str, np.ndarray] | None = None,
    start: Start | None = None,
) -> Iterator[tuple[int, Fitted]]:
    """Train a row of models by each job, and yield (index of the job, result) as they end.

    on_epoch: called with the index of the job, the epoch, from 0, and its numbers. The rest is as in `fit` and
    reproducibility.prepare, which each training starts with. A state that an earlier process saved in a job's folder
    is continued; on a cluster, where the machine that trains has that folder.
    """
    cpus, gpus = (max(getattr(job.settings, name) for job in jobs) for name in ("threads", "replicas"))
    data = {"train": train, "val": val, "side": side, "soft_targets": soft_targets, "start": start}
    yield from executor.run_jobs(train_one, jobs, on_epoch, cpus, gpus, row=row, precision=precision, **data)


def train_one(
    job: Job,
    on_epoch: callbacks.Log,
    row: params.Model,
    train: Faces,
    val: Faces,
    side: int,
    precision: str,
    soft_targets: dict[str, np.ndarray] | None,
    start: Start | None,
) -> Fitted:
    """Train by one job."""
    reproducibility.prepare(job.settings.threads, job.settings.seed, precision)
    folder = job.state_folder if job.state_folder and job.state_folder.exists() else None
    model, validation = fit(
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
        start=start,
    )
    names = "history", "best_epoch", "cut_short", "baselines", "face_scores"
    return Fitted(model.get_weights(), **{name: getattr(validation, name) for name in names})


def trained_model(row: params.Model, settings: params.Settings, precision: str, fitted: Fitted) -> keras.Model:
    """The model of a row with the weights of a training, on this machine."""
    reproducibility.prepare(settings.threads, settings.seed, precision)
    model = build_network(row, settings)
    model.set_weights(fitted.weights)
    return model


def compiled(model: keras.Model, settings: params.Train, steps: int, loaded: Sequence[keras.Layer] = ()) -> keras.Model:
    """Compile with the losses of its heads, and an optimizer on a schedule of `steps`.

    loaded: layers whose weights come from another model, and learn with train.loaded_learning_rate.
    """
    slow = {id(variable) for layer in loaded for variable in layer.trainable_variables}
    factors = [settings.loaded_learning_rate if id(v) in slow else 1.0 for v in model.trainable_variables]
    optimizer = optimizers.build(settings, steps, factors if slow else ())
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if len(v.shape) < 2])
    model.compile(
        optimizer,
        loss={name: losses.for_target(targets.TARGETS[name], settings.age_l1) for name in model.output},
        loss_weights={name: settings.loss_weights.get(name, 1.0) for name in model.output},
        jit_compile=False,
    )
    if settings.replicas == 1:
        # the variables that the first step would create, after which TensorFlow would trace it again
        optimizer.build(model.trainable_variables)
        y_pred = {name: tf.zeros((1, logits.shape[-1])) for name, logits in model.output.items()}
        model.compute_loss(y={name: tf.zeros((1, 1 + y_pred[name].shape[-1])) for name in y_pred}, y_pred=y_pred)
    return model


def fit(
    row: params.Model,
    train: Faces,
    val: Faces,
    settings: params.Settings,
    side: int,
    epochs: int,
    log: callbacks.Log | None = None,
    minutes: float | None = None,
    state_folder: Path | None = None,
    soft_targets: dict[str, np.ndarray] | None = None,
    required_scores: Sequence[float] = (),
    start: Start | None = None,
) -> tuple[keras.Model, callbacks.Validation]:
    """Train a row of models and return it with its best averaged weights, and the callback that holds its history.

    soft_targets: of the training faces, as soft_targets.read gives them. required_scores: as in Validation. start: the
    weights to start from; with train.freeze, only the heads learn further.
    state_folder: a folder for the state after each epoch; a training that finds one there continues from it, and ends
    with the same weights. Raises SystemExit, naming the remedy, where there is nothing to train on.
    """
    if not len(train) or not len(val):
        raise SystemExit(f"{row.dataset} {row.variant}: {len(train)} training and {len(val)} validation faces: too few")
    steps = input_pipeline.steps_in_epoch(train, settings)
    if settings.progressive_sizes:
        build_network(row, settings)  # first, so that its own errors are raised
    model = build_network(row, settings, any_size=bool(settings.progressive_sizes), replicas=settings.replicas)
    validation = callbacks.Validation(val, train, settings, side, steps, log, minutes, state_folder, required_scores)
    with model.distribute_strategy.scope() if settings.replicas > 1 else contextlib.nullcontext():
        loaded = put(model, start) if start else []
        if settings.freeze:
            for layer in loaded:
                layer.trainable = is_head(layer)
        compiled(model, settings, steps * epochs, loaded)
        first = validation.resume(model)
    if first < epochs and not validation.done:
        model.fit(
            input_pipeline.batches(train, settings, side, epochs, first, soft_targets),
            initial_epoch=first,
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=[validation],
            shuffle=False,
            verbose=0,
        )
    if settings.progressive_sizes or settings.replicas > 1:
        model = build_network(row, settings)
    model.set_weights(validation.best)
    return model, validation


def replica_scope(replicas: int, batch_size: int) -> contextlib.AbstractContextManager:
    """Scope to build a model in that several GPUs of this machine train, or parts of a CPU that TensorFlow splits.

    Raises SystemExit where there are fewer, or a batch cannot be shared evenly.
    """
    if replicas == 1:
        return contextlib.nullcontext()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < replicas:
        kind = devices[0].device_type
        raise SystemExit(f"train.replicas: {replicas} devices are asked for, and TensorFlow sees {len(devices)} {kind}")
    if batch_size % replicas:
        raise SystemExit(f"train.batch_size: {batch_size} faces cannot be shared evenly by {replicas} train.replicas")
    return tf.distribute.MirroredStrategy([device.name for device in devices[:replicas]]).scope()


def build_network(
    row: params.Model, settings: params.Settings, any_size: bool = False, replicas: int = 1
) -> keras.Model:
    """Build the network of a row, with its initial weights.

    any_size: for images of any size. replicas: devices that train it. Raises SystemExit where the network has one
    size by design.
    """
    policy = keras.mixed_precision.dtype_policy()
    keras.utils.clear_session()  # layer names count from here: a model's file must not depend on what was built before
    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(settings.seed)
    heads = {name: targets.TARGETS[name].units for name in row.targets}
    try:
        size = None if any_size else settings.image_size
        with replica_scope(replicas, settings.batch_size):
            return networks.build(row.network, size, heads, settings.dropout, row.options)
    except (TypeError, ValueError) as error:
        if not any_size:
            raise
        raise SystemExit(
            f"{row.network} takes images of one size: leave `train.progressive_sizes` empty for it"
        ) from error
