"""Optimizers by name: AdamW; Muon for convolutions."""

import keras
from keras import ops

from faces import params

CLIP = 5.0  # largest global norm of the gradients


def build(settings: params.Train, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer that `train.optimizer` names, on a schedule of `steps` with warm-up and cosine decay to 0."""
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 25,
        max(1, round(steps * (1 - settings.warmup))),
        warmup_target=settings.learning_rate,
        warmup_steps=round(steps * settings.warmup),
    )
    if settings.optimizer == "adamw":
        return keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay, global_clipnorm=CLIP)
    decay = settings.weight_decay
    return ConvolutionMuon(
        schedule, weight_decay=decay, adam_weight_decay=decay, exclude_layers=[".*"], global_clipnorm=CLIP
    )


class ConvolutionMuon(keras.optimizers.Muon):
    """Muon (Jordan et al. 2024) on the kernels of convolutions, and AdamW on all other variables.

    Keras's Muon leaves kernels of more than two axes to AdamW, and those of two axes that `exclude_layers` names: here
    all, so that the parent's update is AdamW's. Kernels that are not depthwise are matrices
    (height * width * in, out) whose update is orthogonalised, in bfloat16 where the network computes in it. Its size
    is that of AdamW's update (Liu et al. 2025), so that the same learning rates apply.
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
        matrix = matrix / (ops.norm(matrix) + 1e-7)
        orthogonal = self.zeropower_via_newtonschulz5(
            ops.cast(matrix, keras.mixed_precision.dtype_policy().compute_dtype), self.ns_steps
        )
        update = self.lr_adjust(learning_rate * ops.cast(orthogonal, variable.dtype))
        self.assign_sub(variable, ops.reshape(update, variable.shape))
