"""Age network of leoiania/utk-age-and-ethnicity, after LeNet, for faces of 80 x 80 pixels."""

import keras
from keras import layers

from faces.networks import scalar_heads, torch_uniform


def build(image_size: int, heads: dict[str, int], dropout: float) -> keras.Model:
    """Build it: two 5x5 convolutions with average pooling, four dense layers, an age in years; no dropout."""
    image = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255)(image)
    for width, padding in ((6, "same"), (16, "valid")):
        x = layers.Conv2D(width, 5, padding=padding, activation="relu", kernel_initializer=torch_uniform())(x)
        x = layers.AveragePooling2D(2)(x)
    x = layers.Flatten()(x)
    for units in (512, 128, 84, 32):
        x = layers.Dense(units, activation="relu", kernel_initializer=torch_uniform())(x)
    return keras.Model(image, scalar_heads(x, heads), name="leoiania_age")
