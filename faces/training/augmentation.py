"""Random changes to training pictures, drawn by (seed, epoch, face) and applied to a batch at once."""

import numpy as np
import tensorflow as tf

DRAWS = 16  # uniform numbers a face
SETTLED = 0.25  # of the changes, in the last epochs
FLIP = 2  # column of u


def draw(faces: int, seed: int, epoch: int) -> np.ndarray:
    """Uniform numbers (faces, DRAWS) float32; row i is the same for the same seed, epoch and i."""
    return np.random.default_rng((seed, epoch, 11)).random((faces, DRAWS), dtype=np.float32)


def strength(epoch: int, epochs: int, settle: float) -> float:
    """How much faces are changed in an epoch: 1, and SETTLED in the last ones, which are a share `settle` of all."""
    return SETTLED if epoch >= epochs - round(settle * epochs) else 1.0


def settled(u: np.ndarray, strength: float) -> np.ndarray:
    """Numbers (n, DRAWS) that are nearer to 0.5, which changes nothing, by a factor `strength`; flips stay.

    Shares of faces that are greyed or erased are of numbers near 0: at SETTLED those below 0.375 become none.
    """
    if strength == 1:
        return u
    less = 0.5 + (u - 0.5) * np.float32(strength)
    less[:, FLIP] = u[:, FLIP]
    return less


def shares(faces: int, seed: int, epoch: int, mix: float) -> np.ndarray:
    """Share (faces,) float32, 0.5 to 1, that each face keeps of itself where two are mixed: Beta(mix, mix), folded."""
    if not mix:
        return np.ones(faces, np.float32)
    drawn = np.random.default_rng((seed, epoch, 13)).beta(mix, mix, faces)
    return np.maximum(drawn, 1 - drawn).astype(np.float32)


def mix_images(images: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Mix each picture of (n, s, s, 3) uint8, of which share (n,) stays, with the one before it in the batch."""
    share = share[:, None, None, None]
    x = tf.cast(images, tf.float32)
    return tf.cast(tf.round(share * x + (1 - share) * tf.roll(x, 1, axis=0)), tf.uint8)


def mix_labels(taught: tf.Tensor, weight: tf.Tensor, share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What is taught (n, k) of mixed pictures, and its weight (n,); a label of weight 0 takes no part."""
    own, other = share * weight, (1 - share) * tf.roll(weight, 1, axis=0)
    total = own + other
    mixed = own[:, None] * taught + other[:, None] * tf.roll(taught, 1, axis=0)
    return tf.math.divide_no_nan(mixed, total[:, None]), total


def augment(
    images: tf.Tensor, u: tf.Tensor, size: int, settings: dict, shown: int | tf.Tensor | None = None
) -> tf.Tensor:
    """Change a batch of pictures.

    images: (n, s, s, 3) uint8; u: (n, DRAWS) from draw; settings: params.Augment as a dict. shown: side in pixels in
    which the `size` pixels are shown; as many unless given.
    Returns (n, shown, shown, 3) uint8, cut from the middle by the same random affine map that turns and scales.
    """
    moved = _affine(tf.cast(images, tf.float32), u, size, size if shown is None else shown, settings)

    @tf.function(jit_compile=True)  # a dozen passes over the pictures become one
    def painted(x: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        x = _erase(_colour(x, u, settings), u, settings["erase"])
        return tf.cast(tf.clip_by_value(tf.round(x), 0, 255), tf.uint8)

    return painted(moved, u)


def _spread(u: tf.Tensor, width: float) -> tf.Tensor:
    return (2 * u - 1) * width


def _affine(x: tf.Tensor, u: tf.Tensor, size: int, shown: int | tf.Tensor, s: dict) -> tf.Tensor:
    angle = _spread(u[:, 0], s["rotate"] * np.pi / 180)
    side = shown if isinstance(shown, int) else tf.cast(shown, tf.float32)
    scale = (size / side) / (s["zoom"][0] + u[:, 1] * (s["zoom"][1] - s["zoom"][0]))
    flip = tf.where(u[:, FLIP] < 0.5, -1.0, 1.0) if s["flip"] else tf.ones_like(u[:, FLIP])
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    centre_out, centre_in = (side - 1) / 2, (tf.cast(tf.shape(x)[1], tf.float32) - 1) / 2
    dx, dy = _spread(u[:, 3], s["shift"] * size), _spread(u[:, 4], s["shift"] * size)
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
    def each(values: tf.Tensor) -> tf.Tensor:
        return values[:, None, None, :] if len(values.shape) == 2 else values[:, None, None, None]

    mean = tf.reduce_mean(x, axis=(1, 2, 3), keepdims=True)
    x = (x - mean) * each(1 + _spread(u[:, 5], s["contrast"])) + mean
    x = x * each(1 + _spread(u[:, 6:9], s["colour"])) + each(_spread(u[:, 9], s["brightness"] * 255))
    grey = tf.reduce_sum(x * [0.299, 0.587, 0.114], axis=3, keepdims=True)
    return tf.where(each(u[:, 10] < s["grey"]), tf.broadcast_to(grey, tf.shape(x)), x)


def _erase(x: tf.Tensor, u: tf.Tensor, share: float) -> tf.Tensor:
    """Grey out a rectangle of 15-45 % of each side (random erasing, Zhong et al. 2020)."""
    size = float(x.shape[1]) if x.shape[1] else tf.cast(tf.shape(x)[1], tf.float32)
    high, wide = (0.15 + 0.30 * u[:, 12]) * size, (0.15 + 0.30 * u[:, 13]) * size
    top, left = u[:, 14] * (size - high), u[:, 15] * (size - wide)
    at = tf.cast(tf.range(x.shape[1] or tf.shape(x)[1]), tf.float32)
    rows = (at >= top[:, None]) & (at < (top + high)[:, None])
    columns = (at >= left[:, None]) & (at < (left + wide)[:, None])
    hole = rows[:, :, None] & columns[:, None, :] & (u[:, 11] < share)[:, None, None]
    return tf.where(hole[..., None], 128.0, x)
