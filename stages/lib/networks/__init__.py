"""One module a network, found by its name; each gives build(image_size, heads, dropout, **options) -> keras.Model.

A network takes (n, image_size, image_size, 3) uint8 RGB and returns a dict of logits, one entry a head:
heads {name: units} -> {name: (n, units) float32}. `attach_heads` is what most networks end with.
"""

import importlib
import inspect
from types import ModuleType

import keras

EMBEDDING = "embedding"


def find(name: str) -> ModuleType:
    """Return the module of a network."""
    return importlib.import_module(f"stages.lib.networks.{name}")


def build(name: str, image_size: int, heads: dict[str, int], dropout: float, options: dict) -> keras.Model:
    """Build a network by name. Raises ValueError where it does not know an option."""
    module = find(name)
    known = list(inspect.signature(module.build).parameters)[3:]
    strange = [option for option in options if option not in known]
    if strange:
        raise ValueError(f"network {name} has no option {strange[0]!r}; it has: {', '.join(known) or 'none'}")
    return module.build(image_size, heads, dropout, **options)


def attach_heads(features: keras.KerasTensor, heads: dict[str, int], dropout: float) -> dict[str, keras.KerasTensor]:
    """Dropout and one dense layer a head on pooled features (n, channels); logits are float32 at any precision.

    The features are the layer EMBEDDING, which the exported model gives too: faces that it takes for alike are near.
    """
    features = keras.layers.Identity(name=EMBEDDING)(features)
    features = keras.layers.Dropout(dropout)(features)
    return {name: keras.layers.Dense(units, dtype="float32", name=name)(features) for name, units in heads.items()}


@keras.saving.register_keras_serializable(package="faces")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation over the last of four axes that trains through TensorFlow's fused kernel.

    The same result as keras.layers.BatchNormalization, whose own training path is about half as fast on a CPU.
    Inference, weights and configuration are those of the parent.
    """

    def call(self, inputs: keras.KerasTensor, training: bool | None = None, mask: None = None) -> keras.KerasTensor:
        """Normalise (n, h, w, c); in training by the batch, while the moving averages follow it."""
        if not training or not self.trainable or len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.cast(self.gamma, tf.float32),
            tf.cast(self.beta, tf.float32),
            epsilon=self.epsilon,
            is_training=True,
        )
        old = self.momentum
        self.moving_mean.assign(old * self.moving_mean + (1 - old) * tf.cast(mean, self.moving_mean.dtype))
        self.moving_variance.assign(
            old * self.moving_variance + (1 - old) * tf.cast(variance, self.moving_variance.dtype)
        )
        return outputs
