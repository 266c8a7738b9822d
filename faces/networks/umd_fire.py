"""Network of umd-fire-coml/2021-Facial-Age-Gender-Recognition, for grayscale faces of 48 x 48 pixels."""

import keras
from keras import layers

from faces.networks import TwoClasses, YearsAround


def build(image_size: int, heads: dict[str, int], dropout: float) -> keras.Model:
    """Build it: four convolutions with an L2 penalty, dropout before each activation, a dense layer a head.

    The age leaves a ReLU, which can die. The dropout rates are 0.1 and 0.2; `dropout` is not used.
    """
    image = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    x = keras.ops.image.rgb_to_grayscale(layers.Rescaling(1 / 255)(image))
    for width in (32, 64, 128, 256):
        x = layers.Conv2D(width, 3, padding="same", kernel_regularizer=keras.regularizers.L2(0.001))(x)
        x = layers.MaxPooling2D(2)(layers.ReLU()(layers.Dropout(0.1)(x)))
    features = layers.Flatten()(x)
    outputs = {}
    for name, units in heads.items():
        y = layers.Dropout(0.2)(layers.Dense(64, activation="relu")(features))
        if name == "age":
            years = layers.Dense(1, activation="relu", dtype="float32")(y)
            outputs[name] = YearsAround(units, name=name)(years)
        elif units == 2:
            outputs[name] = TwoClasses(name=name)(layers.Dense(1, dtype="float32")(y))
        else:
            outputs[name] = layers.Dense(units, dtype="float32", name=name)(y)
    return keras.Model(image, outputs, name="umd_fire")
