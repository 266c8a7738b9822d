"""What heads are taught, and their losses, one a kind of target."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from faces.targets import Target


def wanted(target: Target, values: np.ndarray, sigma: float, smoothing: float) -> np.ndarray:
    """Distributions (n, units) float32 that a head is taught, from labels (n,) as targets.encode gives them.

    Years: a Gaussian of width sigma years around the label (label distribution learning, Geng 2016). Classes: the
    label, of which a share `smoothing` is spread over all classes.
    """
    if target.kind == "years":
        exponent = -0.5 * ((np.arange(target.units) - values[:, None]) / sigma) ** 2
        p = np.exp(exponent - exponent.max(axis=1, keepdims=True))
        return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    one_hot = np.eye(target.units, dtype=np.float32)[values.astype(int)]
    return one_hot * (1 - smoothing) + smoothing / target.units


def of(target: Target, l1: float) -> Callable:
    """Return the loss of a target: cross-entropy against what is wanted, for years plus l1 times an error in years.

    It maps (n, 1 + units), the label in years or class index and the distribution that is wanted, and logits
    (n, units) to (n,). The error is that of the expected age.
    """

    def loss(taught: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
        log_p = ops.log_softmax(logits)
        surprise = -ops.sum(taught[:, 1:] * log_p, axis=-1)
        if target.kind != "years" or not l1:
            return surprise
        expected = ops.sum(ops.exp(log_p) * ops.arange(target.units, dtype="float32"), axis=-1)
        return surprise + l1 * ops.abs(expected - taught[:, 0])

    return loss
