"""Augmentation of training images: random numbers by (seed, epoch, face), applied to a batch at once."""

import numpy as np
import tensorflow as tf

DRAWS = 16  # uniform numbers a face
WEAK = 0.25  # strength in the last epochs
FLIP = 2  # column of u


def draw(faces: int, seed: int, epoch: int) -> np.ndarray:
    """Uniform numbers (faces, DRAWS) float32; row i is the same for the same seed, epoch and i."""
    return np.random.default_rng((seed, epoch, 11)).random((faces, DRAWS), dtype=np.float32)


def strength(epoch: int, epochs: int, weak_fraction: float) -> float:
    """Strength of augmentation in an epoch: WEAK in the last `weak_fraction` of the epochs, 1 before."""
    return WEAK if epoch >= epochs - round(weak_fraction * epochs) else 1.0


def weakened(u: np.ndarray, strength: float) -> np.ndarray:
    """Numbers (n, DRAWS) moved towards 0.5, which changes nothing, by a factor `strength`; flips stay.

    Grayscale and random erasing apply where a number is near 0: at WEAK, probabilities below 0.375 become 0.
    """
    if strength == 1:
        return u
    weak = 0.5 + (u - 0.5) * np.float32(strength)
    weak[:, FLIP] = u[:, FLIP]
    return weak


def mixup_shares(faces: int, seed: int, epoch: int, alpha: float) -> np.ndarray:
    """Share (faces,) float32, 0.5 to 1, of each face in its mixture: Beta(alpha, alpha), folded (Zhang et al. 2018)."""
    if not alpha:
        return np.ones(faces, np.float32)
    share = np.random.default_rng((seed, epoch, 13)).beta(alpha, alpha, faces)
    return np.maximum(share, 1 - share).astype(np.float32)


def mixup_images(images: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Mix each image of (n, s, s, 3) uint8 with the one before it in the batch; share: (n,), of the image itself."""
    share = share[:, None, None, None]
    x = tf.cast(images, tf.float32)
    return tf.cast(tf.round(share * x + (1 - share) * tf.roll(x, 1, axis=0)), tf.uint8)


def mixup_labels(label: tf.Tensor, weight: tf.Tensor, share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels (n, k) of mixed images, and their weight (n,); a label of weight 0 takes no part."""
    own, other = share * weight, (1 - share) * tf.roll(weight, 1, axis=0)
    total = own + other
    mixed = own[:, None] * label + other[:, None] * tf.roll(label, 1, axis=0)
    return tf.math.divide_no_nan(mixed, total[:, None]), total


def augment(images: tf.Tensor, u: tf.Tensor, size: int, settings: dict, shown: int | tf.Tensor) -> tf.Tensor:
    """Augment a batch of images.

    images: (n, s, s, 3) uint8; u: (n, DRAWS) from draw; settings: params.Augment as a dict; size: side in pixels of
    the part that is shown; shown: side in pixels of the result.
    Returns (n, shown, shown, 3) uint8, cut from the middle by the same random affine map that turns and scales.
    """

    @tf.function(jit_compile=True)  # a dozen passes over the images become one
    def recolour(x: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        x = _random_erasing(_colour(x, u, settings), u, settings["random_erasing"])
        return tf.cast(tf.clip_by_value(tf.round(x), 0, 255), tf.uint8)

    return recolour(_affine(tf.cast(images, tf.float32), u, size, shown, settings), u)


def _centred(u: tf.Tensor, width: float) -> tf.Tensor:
    """Uniform numbers of 0 to 1 as those of -width to width."""
    return (2 * u - 1) * width


def _affine(x: tf.Tensor, u: tf.Tensor, size: int, shown: int | tf.Tensor, s: dict) -> tf.Tensor:
    angle = _centred(u[:, 0], s["rotate"] * np.pi / 180)
    side = shown if isinstance(shown, int) else tf.cast(shown, tf.float32)
    scale = (size / side) / (s["zoom"][0] + u[:, 1] * (s["zoom"][1] - s["zoom"][0]))
    flip = tf.where(u[:, FLIP] < 0.5, -1.0, 1.0) if s["flip"] else tf.ones_like(u[:, FLIP])
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    centre_out, centre_in = (side - 1) / 2, (tf.cast(tf.shape(x)[1], tf.float32) - 1) / 2
    dx, dy = _centred(u[:, 3], s["shift"] * size), _centred(u[:, 4], s["shift"] * size)
    a, b, c, d = cos * flip, -sin, sin * flip, cos
    tx = centre_in - (a * centre_out + b * centre_out) + dx
    ty = centre_in - (c * centre_out + d * centre_out) + dy
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=x,
        transforms=tf.stack([a, b, tx, c, d, ty, zero, zero], axis=1),
        output_shape=[shown, shown],
        fill_value=128.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def _colour(x: tf.Tensor, u: tf.Tensor, s: dict) -> tf.Tensor:
    u = u[:, None, None]
    mean = tf.reduce_mean(x, axis=(1, 2, 3), keepdims=True)
    x = (x - mean) * (1 + _centred(u[..., 5:6], s["contrast"])) + mean
    x = x * (1 + _centred(u[..., 6:9], s["colour"])) + _centred(u[..., 9:10], s["brightness"] * 255)
    luma = tf.reduce_sum(x * [0.299, 0.587, 0.114], axis=3, keepdims=True)
    return tf.where(u[..., 10:11] < s["grayscale"], luma, x)


def _random_erasing(x: tf.Tensor, u: tf.Tensor, probability: float) -> tf.Tensor:
    """Fill a rectangle of 15-45 % of each side with grey (random erasing, Zhong et al. 2020)."""
    size = float(x.shape[1]) if x.shape[1] else tf.cast(tf.shape(x)[1], tf.float32)
    high, wide = (0.15 + 0.30 * u[:, 12]) * size, (0.15 + 0.30 * u[:, 13]) * size
    top, left = u[:, 14] * (size - high), u[:, 15] * (size - wide)
    at = tf.cast(tf.range(x.shape[1] or tf.shape(x)[1]), tf.float32)
    rows = (at >= top[:, None]) & (at < (top + high)[:, None])
    columns = (at >= left[:, None]) & (at < (left + wide)[:, None])
    hole = rows[:, :, None] & columns[:, None, :] & (u[:, 11] < probability)[:, None, None]
    return tf.where(hole[..., None], 128.0, x)
