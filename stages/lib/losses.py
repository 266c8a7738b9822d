"""Losses of the heads, one a kind of target; each takes float32 logits and the labels of targets.encode."""

from collections.abc import Callable

import keras
from keras import ops

from stages.lib.targets import Target


def distribution_loss(units: int, sigma: float, l1: float) -> Callable:
    """Loss of a distribution over whole years 0..units-1.

    Cross-entropy against a Gaussian of width sigma years around the label (label distribution learning, Geng 2016),
    plus l1 times the absolute error of the expected age. The loss maps years (n, 1) or (n,) and logits (n, units)
    to (n,).
    """

    def loss(years: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
        years = ops.reshape(ops.cast(years, "float32"), (-1, 1))
        support = ops.arange(units, dtype="float32")
        wanted = ops.softmax(-0.5 * ops.square((support - years) / sigma))
        log_p = ops.log_softmax(logits)
        expected = ops.sum(ops.exp(log_p) * support, axis=-1)
        return -ops.sum(wanted * log_p, axis=-1) + l1 * ops.abs(expected - years[:, 0])

    return loss


def class_loss(units: int, smoothing: float) -> Callable:
    """Cross-entropy with label smoothing; maps class indices (n, 1) or (n,) and logits (n, units) to (n,)."""

    def loss(index: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
        wanted = ops.one_hot(ops.cast(ops.reshape(index, (-1,)), "int32"), units)
        wanted = wanted * (1 - smoothing) + smoothing / units
        return -ops.sum(wanted * ops.log_softmax(logits), axis=-1)

    return loss


def of(target: Target, age_sigma: float, age_l1: float, smoothing: float) -> Callable:
    """Return the loss of a target."""
    if target.kind == "years":
        return distribution_loss(target.units, age_sigma, age_l1)
    return class_loss(target.units, smoothing)
