"""What each head is trained on, by kind of target: soft labels, soft targets, weights of labels, and the loss."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from faces import params
from faces.data.labelled_faces import Faces
from faces.targets import TARGETS, Target


def frequency_weights(kind: np.ndarray, known: np.ndarray, power: float) -> np.ndarray:
    """Weight (n,) float32 of each face: the inverse frequency of its kind to a power; mean 1 over known faces.

    kind: (n,) int; known: (n,) 0, of faces that get no weight and do not count, or 1. power: 0 weighs all faces alike,
    1 all kinds alike.
    """
    kind = np.unique(kind, return_inverse=True)[1]
    weights = known * np.maximum(np.bincount(kind, known), 1)[kind] ** -power
    return (weights * known.sum() / max(weights.sum(), 1e-12)).astype(np.float32)


def heads_supervision(
    faces: Faces, settings: params.Train, soft_targets: dict[str, np.ndarray] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """For each head, y_true (n, 1 + units), as `for_target` takes it, and the weight (n,) of each face.

    soft_targets: probabilities {target: (n, units)} of teachers, NaN where there are none. Their share of the target
    distribution is `settings.distillation_weight`, and 1 where the label is unknown.
    """
    y_true, weights = {}, {}
    face_weight = frequency_weights(faces.cell, np.ones(len(faces)), 0.5 if settings.balance == "weights" else 0.0)
    for name, (values, known) in faces.labels.items():
        target = TARGETS[name]
        smoothing = settings.label_smoothing.get(name, 0.0)
        p = target_distribution(target, values, settings.age_sigma, smoothing)
        kind = values.astype(int) // (5 if target.kind == "years" else 1)
        weights[name] = frequency_weights(kind, known, settings.label_weight_power.get(name, 0.0)) * face_weight
        if soft_targets and name in soft_targets:
            has_soft = np.isfinite(soft_targets[name][:, 0])
            share = np.where(has_soft, np.where(known > 0, settings.distillation_weight, 1.0), 0.0).astype(np.float32)
            soft = np.nan_to_num(soft_targets[name])
            p = (1 - share[:, None]) * p + share[:, None] * soft
            if target.kind == "years":
                values = (1 - share) * values + share * (soft @ np.arange(target.units, dtype=np.float32))
            weights[name] = np.where((known == 0) & has_soft, face_weight, weights[name])
        y_true[name] = np.column_stack([values, p]).astype(np.float32)
    return y_true, weights


def target_distribution(target: Target, values: np.ndarray, sigma: float, smoothing: float) -> np.ndarray:
    """Distributions (n, units) float32 for labels (n,), as targets.encode gives them.

    Years: a Gaussian of width sigma years around the label (label distribution learning, Geng 2016). Classes: the
    label, of which a share `smoothing` is distributed evenly over all classes.
    """
    if target.kind == "years":
        exponent = -0.5 * ((np.arange(target.units) - values[:, None]) / sigma) ** 2
        p = np.exp(exponent - exponent.max(axis=1, keepdims=True))
        return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    one_hot = np.eye(target.units, dtype=np.float32)[values.astype(int)]
    return one_hot * (1 - smoothing) + smoothing / target.units


def for_target(target: Target, l1: float) -> Callable:
    """The loss of a target: cross-entropy against its distribution; for years, plus l1 times the error in years.

    It maps y_true (n, 1 + units), the label in years or class index and the target distribution, and logits
    (n, units) to (n,). The error is that of the expected age.
    """

    def loss(y_true: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
        log_p = ops.log_softmax(logits)
        cross_entropy = -ops.sum(y_true[:, 1:] * log_p, axis=-1)
        if target.kind != "years" or not l1:
            return cross_entropy
        expected = ops.sum(ops.exp(log_p) * ops.arange(target.units, dtype="float32"), axis=-1)
        return cross_entropy + l1 * ops.abs(expected - y_true[:, 0])

    return loss
