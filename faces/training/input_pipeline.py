"""Batches of augmented images for training, as tf.data."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import tensorflow as tf

from faces import params, targets
from faces.data.labelled_faces import Faces, view
from faces.images import preprocessing
from faces.training import augmentation, losses


def epoch_order(faces: Faces, balance: str, seed: int, epoch: int) -> np.ndarray:
    """Indices of the faces in the order of one epoch; `undersample` draws cells down to the median cell's size."""
    rng = np.random.default_rng((seed, epoch, 12))
    order = rng.permutation(len(faces))
    if balance != "undersample":
        return order
    rank = pd.Series(faces.cell[order]).groupby(faces.cell[order]).cumcount().to_numpy()
    return order[rank < int(np.median(np.unique(faces.cell, return_counts=True)[1]))]


def steps_in_epoch(faces: Faces, settings: params.Train) -> int:
    """Whole batches in an epoch, at least one."""
    return max(1, len(epoch_order(faces, settings.balance, 0, 0)) // settings.batch_size)


def side_shown(settings: params.Train, epoch: int, epochs: int) -> int:
    """Side in pixels of the images of an epoch: each of the progressive sizes, then image_size, for equal shares."""
    sides = [*settings.progressive_sizes, settings.image_size]
    return sides[-(-(epoch + 1) * len(sides) // epochs) - 1]  # rounded up: the last epoch has the last size


def batches(
    faces: Faces,
    settings: params.Settings,
    side: int,
    epochs: int,
    first_epoch: int = 0,
    soft_targets: dict[str, np.ndarray] | None = None,
) -> tf.data.Dataset:
    """Training batches of all epochs, one after the other: (image, {target: y_true}, {target: weight}).

    side: of the packed images, in pixels. Order and augmentation follow from (seed, epoch, index of the face) alone,
    and reading, decoding and augmenting overlap with the training step.
    """
    names, (y_true, weights) = list(faces.labels), losses.heads_supervision(faces, settings, soft_targets)
    batch = min(settings.batch_size, max(1, len(faces)))
    _, crop, size, _ = view(side, settings)
    factor = preprocessing.reduction_factor(side, crop, size)

    def generate() -> Iterator[tuple]:
        for epoch in range(first_epoch, epochs):
            order = epoch_order(faces, settings.balance, settings.seed, epoch)
            strength = augmentation.strength(epoch, epochs, settings.augment.weak_final_fraction)
            u = augmentation.weakened(augmentation.draw(len(faces), settings.seed, epoch), strength)
            share = augmentation.mixup_shares(len(faces), settings.seed, epoch, settings.augment.mixup_alpha)
            share = 1 - strength * (1 - share)
            for start in range(0, steps_in_epoch(faces, settings) * batch, batch):
                at = order[start : start + batch]
                yield (
                    np.array(faces.pack.images(faces.rows[at]), object),
                    u[at],
                    share[at],
                    side_shown(settings, epoch, epochs),
                    {name: y_true[name][at] for name in names},
                    {name: weights[name][at] for name in names},
                )

    signature = (
        tf.TensorSpec((None,), tf.string),
        tf.TensorSpec((None, augmentation.DRAWS), tf.float32),
        tf.TensorSpec((None,), tf.float32),
        tf.TensorSpec((), tf.int32),
        {name: tf.TensorSpec((None, 1 + targets.TARGETS[name].units), tf.float32) for name in names},
        {name: tf.TensorSpec((None,), tf.float32) for name in names},
    )
    augment = settings.augment.model_dump()

    def augmented(
        encoded: tf.Tensor, u: tf.Tensor, share: tf.Tensor, shown: tf.Tensor, label: dict, weight: dict
    ) -> tuple:
        images = augmentation.augment(
            decode_batch(encoded, side, factor),
            u,
            crop // factor,
            augment,
            shown if settings.progressive_sizes else size,
        )
        if settings.augment.mixup_alpha:
            images = augmentation.mixup_images(images, share)
            for name in names:
                label[name], weight[name] = augmentation.mixup_labels(label[name], weight[name], share)
        return images, label, weight

    data = tf.data.Dataset.from_generator(generate, output_signature=signature)
    return data.map(augmented, num_parallel_calls=settings.threads, deterministic=True).prefetch(4)


def decode_batch(encoded: tf.Tensor, side: int, factor: int = 1) -> tf.Tensor:
    """Decode JPEGs (n,) to (n, side // factor, side // factor, 3) uint8; smaller images are centred on grey.

    As preprocessing.square does. factor: reduction at decoding, which is cheaper.
    """
    side //= factor

    def decode(content: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE", ratio=factor)
        shape = tf.shape(image)
        top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
        pads = [[top, side - shape[0] - top], [left, side - shape[1] - left], [0, 0]]
        return tf.ensure_shape(tf.pad(image, pads, constant_values=128), (side, side, 3))

    return tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec((side, side, 3), tf.uint8))
