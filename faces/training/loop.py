"""Training one network: build, compile, fit, resume; shared by tune, train and teach."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from faces import networks, params, targets
from faces.data.labelled_faces import Faces
from faces.training import callbacks, input_pipeline, losses, optimizers


def compiled(model: keras.Model, settings: params.Train, steps: int) -> keras.Model:
    """Compile with the losses of its heads, and an optimizer on a schedule of `steps`."""
    optimizer = optimizers.build(settings, steps)
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if len(v.shape) < 2])
    model.compile(
        optimizer,
        loss={name: losses.of(targets.TARGETS[name], settings.age_l1) for name in model.output},
        loss_weights={name: settings.loss_weights.get(name, 1.0) for name in model.output},
        jit_compile=False,
    )
    if settings.replicas == 1:
        # what the first step would make; TensorFlow traces a step again that made variables
        optimizer.build(model.trainable_variables)
        said = {name: tf.zeros((1, logits.shape[-1])) for name, logits in model.output.items()}
        model.compute_loss(y={name: tf.zeros((1, 1 + said[name].shape[-1])) for name in said}, y_pred=said)
    return model


def fit(
    row: params.Model,
    train: Faces,
    val: Faces,
    settings: params.Train,
    side: int,
    epochs: int,
    log: callbacks.Log | None = None,
    minutes: float | None = None,
    place: Path | None = None,
    lesson: dict[str, np.ndarray] | None = None,
    bar: Sequence[float] = (),
) -> tuple[keras.Model, callbacks.Validation]:
    """Train a row of models and return it with its best averaged weights, and the callback that holds its history.

    lesson: what teachers say of the training faces, as lessons.read gives it. bar: as in Validation.
    place: a folder for the state after each epoch; a training that finds one there goes on from it, and ends with the
    weights that it would have had. Raises SystemExit, naming the remedy, where there is nothing to train on.
    """
    if not len(train) or not len(val):
        raise SystemExit(f"{row.dataset} {row.variant}: {len(train)} training and {len(val)} validation faces: too few")
    steps = input_pipeline.steps_in_epoch(train, settings)
    if settings.growing:
        build_network(row, settings)  # whose faults are told first
    model = build_network(row, settings, any_size=bool(settings.growing), replicas=settings.replicas)
    validation = callbacks.Validation(val, train, settings, side, steps, log, minutes, place, bar)
    with model.distribute_strategy.scope() if settings.replicas > 1 else contextlib.nullcontext():
        compiled(model, settings, steps * epochs)
        first = validation.resume(model)
    if first < epochs and not validation.done:
        model.fit(
            input_pipeline.batches(train, settings, side, epochs, first, lesson),
            initial_epoch=first,
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=[validation],
            shuffle=False,
            verbose=0,
        )
    if settings.growing or settings.replicas > 1:
        model = build_network(row, settings)
    model.set_weights(validation.best)
    return model, validation


def shared_by(replicas: int, batch_size: int) -> contextlib.AbstractContextManager:
    """Where a model is made that so many GPUs of this machine train together; a CPU that TensorFlow splits will do.

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


def build_network(row: params.Model, settings: params.Train, any_size: bool = False, replicas: int = 1) -> keras.Model:
    """Build the network of a row, with the weights that it starts with.

    any_size: for pictures of any size. replicas: devices that are to train it together. Raises SystemExit where the
    network is of one size by design.
    """
    policy = keras.mixed_precision.dtype_policy()
    keras.utils.clear_session()  # names count up from here, so that a model's file does not tell what came before it
    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(settings.seed)
    heads = {name: targets.TARGETS[name].units for name in row.targets}
    try:
        size = None if any_size else settings.image_size
        with shared_by(replicas, settings.batch_size):
            return networks.build(row.network, size, heads, settings.dropout, row.options)
    except (TypeError, ValueError) as error:
        if not any_size:
            raise
        raise SystemExit(f"{row.network} takes pictures of one size: leave `train.growing` empty for it") from error
