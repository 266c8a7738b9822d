"""Ethnicity network of leoiania/utk-age-and-ethnicity, for faces of 80 x 80 pixels."""

import keras
from keras import layers

from faces.networks import normalise, scalar_heads, torch_uniform


def build(image_size: int, heads: dict[str, int], dropout: float) -> keras.Model:
    """Build it: five convolutions and four dense layers without any activation; only the pooling is not linear.

    The dropout rate of the flattened features is 0.25; `dropout` is not used.
    """
    image = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255)(image)
    for widths in ((16, 16), (16, 16, 8)):
        for width in widths:
            x = normalise(layers.Conv2D(width, 3, kernel_initializer=torch_uniform())(x))
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dropout(0.25)(layers.Flatten()(x))
    for units in (512, 128, 64):
        x = layers.Dense(units, kernel_initializer=torch_uniform())(x)
    return keras.Model(image, scalar_heads(x, heads), name="leoiania_ethnicity")
