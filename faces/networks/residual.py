"""Residual network for small faces (He et al. 2016, basic blocks; average-pooled shortcuts as in He et al. 2019)."""

import keras
from keras import layers

from faces.networks import attach_heads, convolution, normalise


def build(
    image_size: int,
    heads: dict[str, int],
    dropout: float,
    widths: tuple[int, ...],
    blocks: tuple[int, ...],
    squeeze: int = 0,
) -> keras.Model:
    """Build it: a 3x3 stem of stride 2, then one group of blocks a width; all groups but the first halve the image.

    widths: channels of each group; blocks: basic blocks in each group. squeeze: reduction ratio of the
    squeeze-and-excitation in each block (Hu et al. 2018); 0: none. Raises ValueError where the lengths of widths and
    blocks differ.
    """
    if len(widths) != len(blocks):
        raise ValueError(f"widths {list(widths)} and blocks {list(blocks)} must be of the same length")
    image = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = convolution(x, widths[0], stride=2)
    x = layers.ReLU()(normalise(x))
    for group, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for block in range(count):
            x = basic_block(x, width, stride=2 if group > 0 and block == 0 else 1, squeeze=squeeze)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, attach_heads(x, heads, dropout), name="residual")


def basic_block(x: keras.KerasTensor, width: int, stride: int, squeeze: int = 0) -> keras.KerasTensor:
    """Two 3x3 convolutions and a shortcut; the last scale starts at 0, so the block starts as the shortcut alone."""
    shortcut = x
    if stride > 1:
        shortcut = layers.AveragePooling2D(stride, padding="same")(shortcut)
    if x.shape[-1] != width:
        shortcut = normalise(convolution(shortcut, width, kernel=1))
    y = layers.ReLU()(normalise(convolution(x, width, stride=stride)))
    y = normalise(convolution(y, width), gamma="zeros")
    if squeeze:
        weight = layers.GlobalAveragePooling2D(keepdims=True)(y)
        weight = layers.Dense(width // squeeze, activation="relu")(weight)
        y = layers.Multiply()([y, layers.Dense(width, activation="sigmoid")(weight)])
    return layers.ReLU()(layers.Add()([shortcut, y]))
