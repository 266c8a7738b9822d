"""Residual network of vibalcam/AgeGenderDetector, for faces and for photos of 200 x 200 pixels."""

import keras
from keras import layers

from faces.networks import convolution, normalise, scalar_heads, torch_uniform


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
    x = convolution(x, widths[0], 7, stride=2, padding="valid", initializer=torch_uniform())
    x = layers.ReLU()(normalise(x))
    for width in widths[1:]:
        y = x
        for _ in range(convolutions):
            y = layers.ReLU()(normalise(convolution(y, width, initializer=torch_uniform())))
        x = layers.Add()([y, normalise(convolution(x, width, 1, initializer=torch_uniform()))])
        x = layers.MaxPooling2D(2)(x)
    return keras.Model(image, scalar_heads(layers.GlobalAveragePooling2D()(x), heads), name="vibalcam")
