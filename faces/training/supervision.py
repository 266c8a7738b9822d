"""What each head is trained on: soft labels, mixed with soft targets, and the weight of each label."""

import numpy as np

from faces import params, targets
from faces.data.labelled_faces import Faces
from faces.training import losses


def face_weights(faces: Faces, balance: str) -> np.ndarray:
    """Weight (n,) of each face: 1, or under `weights` the inverse square root of its cell's size, with mean 1."""
    if balance != "weights" or not len(faces):
        return np.ones(len(faces), np.float32)
    _, where, count = np.unique(faces.cell, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(count[where])
    return (weights / weights.mean()).astype(np.float32)


def label_weights(target: targets.Target, values: np.ndarray, known: np.ndarray, power: float) -> np.ndarray:
    """Weight (n,) of each label: its inverse frequency to a power; mean 1 over known labels, 0 where unknown.

    The frequency is that of the class, or of the five years of age. power: 0 weighs all alike, 1 all classes alike.
    """
    kind = values.astype(int) // (5 if target.kind == "years" else 1)
    counts = np.bincount(kind, known)
    weights = known * np.maximum(counts, 1)[kind] ** -power
    return (weights * known.sum() / max(weights.sum(), 1e-12)).astype(np.float32)


def heads_supervision(
    faces: Faces, settings: params.Train, soft_targets: dict[str, np.ndarray] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """For each head, y_true (n, 1 + units), as losses.for_target takes it, and the weight (n,) of each face.

    soft_targets: probabilities {target: (n, units)} of teachers, NaN where there are none. Their share of the target
    distribution is `settings.distillation_weight`, and 1 where the label is unknown.
    """
    y_true, weights = {}, {}
    face_weight = face_weights(faces, settings.balance)
    for name, (values, known) in faces.labels.items():
        target = targets.TARGETS[name]
        smoothing = settings.label_smoothing.get(name, 0.0)
        p = losses.target_distribution(target, values, settings.age_sigma, smoothing)
        weights[name] = label_weights(target, values, known, settings.label_weight_power.get(name, 0.0)) * face_weight
        if soft_targets and name in soft_targets:
            has_soft = np.isfinite(soft_targets[name][:, 0])
            share = np.where(has_soft, np.where(known > 0, settings.distillation_weight, 1.0), 0.0)[:, None].astype(
                np.float32
            )
            soft = np.nan_to_num(soft_targets[name])
            p = (1 - share) * p + share * soft
            if target.kind == "years":
                share = share[:, 0]
                values = (1 - share) * values + share * (soft @ np.arange(target.units, dtype=np.float32))
            weights[name] = np.where((known == 0) & has_soft, face_weight, weights[name])
        y_true[name] = np.column_stack([values, p]).astype(np.float32)
    return y_true, weights
