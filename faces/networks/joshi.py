"""Separable networks of ShreyanshJoshi/Facial-Demographics-using-CNN: classes of age and sex, and age in years."""

import keras
from keras import layers

from faces.networks import FusedBatchNormalization, YearsAround, YearsOfBins

# channels, pooling, spatial dropout
CLASSES = ((32, 3, 0), (64, 2, 0), (128, 2, 0), (128, 2, 0.1), (256, 2, 0.1), (256, 2, 0.15), (256, 2, 0.15))
YEARS = ((64, 2, 0), (128, 2, 0), (128, 2, 0.15), (256, 2, 0.15), (256, 2, 0.15))
BINS = 5


def build(image_size: int, heads: dict[str, int], dropout: float, age: str = "classes") -> keras.Model:
    """Build it, with one trunk a head and its own dropout rates; `dropout` is not used.

    age: "classes", for faces of 198 x 198 pixels: five bins of 25 years, uniform within a bin; or "years", for faces
    of 180 x 180 pixels: an age that leaves a ReLU. Raises ValueError for another value.
    """
    if age not in ("classes", "years"):
        raise ValueError(f"age {age!r} is neither 'classes' nor 'years'")
    image = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255)(image)
    outputs = {}
    for name, units in heads.items():
        y = trunk(x, YEARS if age == "years" else CLASSES)
        if name != "age":
            y = dense(dense(y, 64, 0.3), 32, 0.25)
            outputs[name] = layers.Dense(units, dtype="float32", name=name)(y)
        elif age == "years":
            y = dense(dense(dense(y, 128, 0.3), 64, 0.3), 64, 0.2)
            outputs[name] = YearsAround(units, name=name)(layers.Dense(1, activation="relu", dtype="float32")(y))
        else:
            y = dense(dense(dense(y, 128, 0.3, keras.regularizers.L2(0.03)), 64, 0.3), 32, 0.2)
            outputs[name] = YearsOfBins(units, name=name)(layers.Dense(BINS, dtype="float32")(y))
    return keras.Model(image, outputs, name="joshi")


def trunk(x: keras.KerasTensor, stages: tuple) -> keras.KerasTensor:
    """Separable convolutions with ReLU, pooling, spatial dropout and batch normalisation, flattened."""
    for width, pool, drop in stages:
        x = layers.MaxPooling2D(pool)(layers.SeparableConv2D(width, 3, padding="same", activation="relu")(x))
        if drop:
            x = layers.SpatialDropout2D(drop)(x)
        x = FusedBatchNormalization()(x)
    return layers.Flatten()(x)


def dense(
    x: keras.KerasTensor, units: int, drop: float, penalty: keras.regularizers.Regularizer | None = None
) -> keras.KerasTensor:
    """Dense layer with ReLU, then dropout, then batch normalisation."""
    x = layers.Dense(units, activation="relu", kernel_regularizer=penalty)(x)
    return layers.BatchNormalization()(layers.Dropout(drop)(x))
