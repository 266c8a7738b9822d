"""Ethnicity network of leoiania/utk-age-and-ethnicity, for faces of 80 x 80 pixels."""

import keras
from keras import layers

from faces.networks import FusedBatchNormalization, scalar_heads

TORCH = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")  # uniform within 1 / sqrt(fan_in)


def build(image_size: int, heads: dict[str, int], dropout: float) -> keras.Model:
    """Build it: five convolutions and four dense layers without any activation; only the pooling is not linear.

    The dropout rate of the flattened features is 0.25; `dropout` is not used.
    """
    image = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255)(image)
    for widths in ((16, 16), (16, 16, 8)):
        for width in widths:
            x = layers.Conv2D(width, 3, kernel_initializer=TORCH, bias_initializer="zeros")(x)
            x = FusedBatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dropout(0.25)(layers.Flatten()(x))
    for units in (512, 128, 64):
        x = layers.Dense(units, kernel_initializer=TORCH)(x)
    return keras.Model(image, scalar_heads(x, heads, TORCH), name="leoiania_ethnicity")
