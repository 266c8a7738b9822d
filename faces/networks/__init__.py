"""One module a network, found by its name; it has build(image_size, heads, dropout, **options) -> keras.Model.

A network takes (n, image_size, image_size, 3) uint8 RGB and returns a dict of logits, one entry a head:
heads {name: units} -> {name: (n, units) float32}. Most networks end with `attach_heads`.
"""

import importlib
import inspect

import keras

EMBEDDING = "embedding"
SCALAR = "_scalar"  # ends the name of a dense layer with one unit, which another layer turns into a head's logits


def build(name: str, image_size: int | None, heads: dict[str, int], dropout: float, options: dict) -> keras.Model:
    """Build a network by name. Raises ValueError for an option that it does not have."""
    module = importlib.import_module(f"faces.networks.{name}")
    known = list(inspect.signature(module.build).parameters)[3:]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(f"network {name} has no option {unknown[0]!r}; it has: {', '.join(known) or 'none'}")
    return module.build(image_size, heads, dropout, **options)


def attach_heads(features: keras.KerasTensor, heads: dict[str, int], dropout: float) -> dict[str, keras.KerasTensor]:
    """Dropout and one dense layer a head on pooled features (n, channels); logits are float32 at any precision.

    The features are the layer EMBEDDING, also an output of the exported model: similar faces have near embeddings.
    """
    features = keras.layers.Identity(name=EMBEDDING)(features)
    features = keras.layers.Dropout(dropout)(features)
    return {name: keras.layers.Dense(units, dtype="float32", name=name)(features) for name, units in heads.items()}


def scalar_heads(features: keras.KerasTensor, heads: dict[str, int]) -> dict[str, keras.KerasTensor]:
    """One dense layer a head on features (n, channels), as in regression networks: an age in years, one sex logit."""
    features = keras.layers.Identity(name=EMBEDDING)(features)
    outputs = {}
    for name, units in heads.items():
        scalar = name == "age" or units == 2
        outputs[name] = keras.layers.Dense(
            1 if scalar else units,
            kernel_initializer=torch_uniform(),
            dtype="float32",
            name=f"{name}{SCALAR}" if scalar else name,
        )(features)
        if scalar:
            widen = YearsAround(units, name=name) if name == "age" else TwoClasses(name=name)
            outputs[name] = widen(outputs[name])
    return outputs


def torch_uniform() -> keras.Initializer:
    """PyTorch's initial weights, uniform within 1 / sqrt(fan_in); one object a layer, since its seed is fixed."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def convolution(
    x: keras.KerasTensor,
    width: int,
    kernel: int = 3,
    stride: int = 1,
    padding: str = "same",
    initializer: str | keras.Initializer = "he_normal",
) -> keras.KerasTensor:
    """Convolve without bias."""
    return keras.layers.Conv2D(
        width, kernel, strides=stride, padding=padding, use_bias=False, kernel_initializer=initializer
    )(x)


def normalise(x: keras.KerasTensor, gamma: str = "ones") -> keras.KerasTensor:
    """Batch normalisation with PyTorch's default momentum and epsilon; gamma: initializer of its scale."""
    return FusedBatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma)(x)


class _Years(keras.layers.Layer):
    """Makes logits of whole years, in float32 at any precision."""

    def __init__(self, units: int, **kwargs: object) -> None:
        """Take the number of whole years, from 0."""
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.units = units

    def get_config(self) -> dict:
        """Add the number of years."""
        return super().get_config() | {"units": self.units}


@keras.saving.register_keras_serializable(package="faces")
class YearsAround(_Years):
    """Turns an age in years (n, 1) into logits (n, units) of a Gaussian around it, one year wide.

    Its median and mean are that age. The cross-entropy against a Gaussian label of the same width is half the squared
    error plus a constant. So a network with a scalar output is trained and scored as one with a distribution.
    """

    def call(self, years: keras.KerasTensor) -> keras.KerasTensor:
        """Logits of the Gaussian; outside the range of ages, the nearest end is the most probable."""
        support = keras.ops.arange(self.units, dtype="float32")
        return -0.5 * keras.ops.square(support - keras.ops.cast(years, "float32"))


@keras.saving.register_keras_serializable(package="faces")
class YearsOfBins(_Years):
    """Turns logits of equal bins of years (n, bins) into logits (n, units) of years, equal within a bin."""

    def call(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Repeat each bin's logit over its years; units is a multiple of the bins."""
        return keras.ops.repeat(logits, self.units // logits.shape[-1], axis=-1)


@keras.saving.register_keras_serializable(package="faces")
class TwoClasses(keras.layers.Layer):
    """Turns one logit (n, 1), of the second of two classes, into two (n, 2) with the same probabilities."""

    def __init__(self, **kwargs: object) -> None:
        """Compute in float32."""
        super().__init__(**{"dtype": "float32"} | kwargs)

    def call(self, logit: keras.KerasTensor) -> keras.KerasTensor:
        """Prepend a logit of 0."""
        return keras.ops.concatenate([keras.ops.zeros_like(logit), logit], axis=-1)


@keras.saving.register_keras_serializable(package="faces")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation over the last of four axes that trains with TensorFlow's fused kernel.

    The result is that of keras.layers.BatchNormalization, whose training path is about half as fast on a CPU.
    Inference, weights and configuration are those of the parent.
    """

    def call(self, inputs: keras.KerasTensor, training: bool | None = None, mask: None = None) -> keras.KerasTensor:
        """Normalise (n, h, w, c); in training by the batch's statistics, which update the moving averages."""
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
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * tf.cast(new, moving.dtype))
        return outputs
