"""ImageNet networks of Keras: MobileNetV3-Small and ResNet-50, from scratch or pretrained."""

import keras

from faces.networks import attach_heads

KNOWN = ("MobileNetV3Small", "ResNet50")


def build(
    image_size: int, heads: dict[str, int], dropout: float, architecture: str, weights: str | None = None
) -> keras.Model:
    """Build it without its top. weights: None, or "imagenet", which Keras downloads once.

    Raises ValueError for another architecture or other weights, and SystemExit where they cannot be downloaded.
    """
    if architecture not in KNOWN:
        raise ValueError(f"architecture {architecture!r} is not one of {', '.join(KNOWN)}")
    if weights not in (None, "imagenet"):
        raise ValueError(f"weights {weights!r}: null trains from scratch, imagenet starts from Keras's weights")
    image = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1.0)(image)
    if architecture == "ResNet50":  # Keras's weights take BGR channels, each minus its mean
        x = keras.layers.Rescaling(1.0, offset=[-123.68, -116.779, -103.939])(x)
        x = keras.ops.flip(x, axis=-1)
    try:
        body = getattr(keras.applications, architecture)(
            include_top=False, weights=weights, input_shape=(image_size, image_size, 3), pooling="avg"
        )
    except Exception as error:
        if weights is None:
            raise
        raise SystemExit(
            f"the ImageNet weights of {architecture} cannot be downloaded ({error}): put the file that it names into "
            "~/.keras/models, or train from scratch with `weights: null`"
        ) from None
    if weights is None:
        for layer in body.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.9  # as in `residual`; Keras's own, up to 0.999, needs more steps than there are
    return keras.Model(image, attach_heads(body(x), heads, dropout), name=architecture.lower())
