"""Optimizers by name: AdamW; Muon for convolutions. Loaded weights may learn more slowly."""

from collections.abc import Sequence

import keras
from keras import ops

from faces import params

CLIP = 5.0  # largest global norm of the gradients


def build(settings: params.Train, steps: int, factors: Sequence[float] = ()) -> keras.optimizers.Optimizer:
    """The optimizer that `train.optimizer` names, on a schedule of `steps` with warm-up and cosine decay to 0.

    factors: of the learning rate, for each trainable variable of the model; 1 for all without them.
    """
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 25,
        max(1, round(steps * (1 - settings.warmup))),
        warmup_target=settings.learning_rate,
        warmup_steps=round(steps * settings.warmup),
    )
    if settings.optimizer == "adamw":
        optimizer = AdamW(schedule, weight_decay=settings.weight_decay, global_clipnorm=CLIP)
    else:
        decay = settings.weight_decay
        optimizer = Muon(
            schedule, weight_decay=decay, adam_weight_decay=decay, exclude_layers=[".*"], global_clipnorm=CLIP
        )
    optimizer.factors = tuple(factors)
    return optimizer


class ConvolutionMuon(keras.optimizers.Muon):
    """Muon (Jordan et al. 2024) on the kernels of convolutions, and AdamW on all other variables.

    Keras's Muon leaves kernels of more than two axes to AdamW, and those of two axes that `exclude_layers` names: here
    all, so that the parent's update is AdamW's. Kernels that are not depthwise are matrices
    (height * width * in, out) whose update is orthogonalised. Its size is that of AdamW's update (Liu et al. 2025), so
    that the same learning rates apply.
    """

    def update_step(
        self, gradient: keras.KerasTensor, variable: keras.Variable, learning_rate: keras.KerasTensor
    ) -> None:
        """Update a variable, in place."""
        if len(variable.shape) != 4 or variable.shape[-1] == 1:  # the latter: depthwise
            super().update_step(gradient, variable, learning_rate)
            return
        m = self.momentums[self._get_variable_index(variable)]  # private, but what Keras's guide to optimizers uses
        self.assign_add(m, ops.add(gradient, m * (self.momentum - 1)))
        matrix = ops.reshape(ops.add(gradient, self.momentum * m), (-1, variable.shape[-1]))
        update = self.lr_adjust(learning_rate * self.zeropower_via_newtonschulz5(matrix, self.ns_steps))
        self.assign_sub(variable, ops.reshape(update, variable.shape))

    def zeropower_via_newtonschulz5(self, x: keras.KerasTensor, steps: int) -> keras.KerasTensor:
        """A matrix (m, n) with nearly the same directions, and singular values near 1, by Newton-Schulz iteration.

        Each iterate is x times a polynomial of x^T x. So only matrices (n, n) are multiplied in between, which for a
        kernel of 3 x 3 takes a third of the parent's time. In float32 at any precision.
        """
        if x.shape[0] < x.shape[1]:
            return ops.transpose(self.zeropower_via_newtonschulz5(ops.transpose(x), steps))
        x = ops.cast(x, "float32")
        x = x / (ops.norm(x) + 1e-7)
        one = ops.eye(x.shape[1])
        gram, factor = ops.transpose(x) @ x, one
        for _ in range(steps):
            polynomial = self.muon_a * one + self.muon_b * gram + self.muon_c * (gram @ gram)
            factor, gram = factor @ polynomial, polynomial @ gram @ polynomial
        return x @ factor


class LearningRates(keras.optimizers.Optimizer):
    """A learning rate for each variable (Howard and Ruder 2018, "Universal language model fine-tuning", section 3.2).

    factors: of the learning rate, in the order of the model's trainable variables; empty: 1 for all. The decay of
    weights is as without them.
    """

    factors: tuple[float, ...] = ()

    def update_step(
        self, gradient: keras.KerasTensor, variable: keras.Variable, learning_rate: keras.KerasTensor
    ) -> None:
        """Update a variable, in place."""
        if self.factors:
            learning_rate = learning_rate * self.factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate)


class AdamW(LearningRates, keras.optimizers.AdamW):
    """AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization")."""


class Muon(LearningRates, ConvolutionMuon):
    """Muon for convolutions, and AdamW for all other variables."""
