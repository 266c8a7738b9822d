"""What each head is trained on: soft labels, mixed with soft targets, and the weight of each label."""

import numpy as np

from faces import params, targets
from faces.data.labelled_faces import Faces
from faces.training import losses


def face_weights(faces: Faces, balance: str) -> np.ndarray:
    """Weight (n,) of each face: 1, or under `weights` the inverse root of its cell's size, 1 in the mean."""
    if balance != "weights" or not len(faces):
        return np.ones(len(faces), np.float32)
    _, where, count = np.unique(faces.cell, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(count[where])
    return (weights / weights.mean()).astype(np.float32)


def rarity_weights(target: targets.Target, values: np.ndarray, known: np.ndarray, power: float) -> np.ndarray:
    """Weight (n,) of each label: how rare it is among the known ones, to a power; 1 in their mean, 0 where unknown.

    A label's share is that of its class, or of its five years. power: 0 weighs all alike, 1 all classes alike.
    """
    kind = values.astype(int) // (5 if target.kind == "years" else 1)
    counts = np.bincount(kind, known)
    weights = known * np.maximum(counts, 1)[kind] ** -power
    return (weights * known.sum() / max(weights.sum(), 1e-12)).astype(np.float32)


def heads_supervision(
    faces: Faces, settings: params.Train, lesson: dict[str, np.ndarray] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What each head is taught (n, 1 + units), as losses.of takes it, and the weight (n,) of each face.

    lesson: {target: (n, units)} that teachers say, NaN where nothing; a share `lesson` of what is wanted then, and all
    of it where a label is unknown.
    """
    taught, weights = {}, {}
    each = face_weights(faces, settings.balance)
    for name, (values, known) in faces.labels.items():
        target = targets.TARGETS[name]
        wanted = losses.wanted(target, values, settings.age_sigma, settings.label_smoothing.get(name, 0.0))
        weights[name] = rarity_weights(target, values, known, settings.rarity.get(name, 0.0)) * each
        if lesson and name in lesson:
            told = np.isfinite(lesson[name][:, 0])
            share = np.where(told, np.where(known > 0, settings.lesson, 1.0), 0.0)[:, None].astype(np.float32)
            said = np.nan_to_num(lesson[name])
            wanted = (1 - share) * wanted + share * said
            if target.kind == "years":
                share = share[:, 0]
                values = (1 - share) * values + share * (said @ np.arange(target.units, dtype=np.float32))
            weights[name] = np.where((known == 0) & told, each, weights[name])
        taught[name] = np.column_stack([values, wanted]).astype(np.float32)
    return taught, weights
