"""Residual network of vibalcam/AgeGenderDetector, for faces and for photos of 200 x 200 pixels."""

import keras
from keras import layers

from faces.networks import FusedBatchNormalization, scalar_heads

TORCH = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")  # uniform within 1 / sqrt(fan_in)


def build(
    image_size: int, heads: dict[str, int], dropout: float, widths: tuple[int, ...], convolutions: int
) -> keras.Model:
    """Build it: a 7x7 stem, then a block a width: convolutions and a 1x1 shortcut, their sum max-pooled.

    No activation follows the sum, there is no dropout (`dropout` is not used), and one dense layer gives a logit of
    sex and an age in years. convolutions: of each block.
    """
    image = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    x = normalise(layers.Rescaling(1 / 255)(image))
    x = layers.ZeroPadding2D(3)(x)
    x = convolution(x, widths[0], 7, stride=2, padding="valid")
    x = layers.ReLU()(normalise(x))
    for width in widths[1:]:
        y = x
        for _ in range(convolutions):
            y = layers.ReLU()(normalise(convolution(y, width, 3)))
        x = layers.Add()([y, normalise(convolution(x, width, 1))])
        x = layers.MaxPooling2D(2)(x)
    return keras.Model(image, scalar_heads(layers.GlobalAveragePooling2D()(x), heads, TORCH), name="vibalcam")


def convolution(
    x: keras.KerasTensor, width: int, kernel: int, stride: int = 1, padding: str = "same"
) -> keras.KerasTensor:
    """Convolve without bias."""
    return layers.Conv2D(width, kernel, strides=stride, padding=padding, use_bias=False, kernel_initializer=TORCH)(x)


def normalise(x: keras.KerasTensor) -> keras.KerasTensor:
    """Batch normalisation with PyTorch's default momentum and epsilon."""
    return FusedBatchNormalization(momentum=0.9, epsilon=1e-5)(x)
