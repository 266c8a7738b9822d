"""Target distributions and losses of the heads, by kind of target."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from faces.targets import Target


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
