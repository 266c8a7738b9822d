"""Nearest neighbours between two sets of faces: by perceptual hash and by a model's embedding."""

import numpy as np

BLOCK = 512  # rows compared with all others at a time


def nearest_hash(ours: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index (n,) of the nearest of `others` (m,) uint64 to each of `ours` (n,), and the bits (n,) that differ."""
    index, bits = np.zeros(len(ours), np.int64), np.full(len(ours), 64)
    for start in range(0, len(ours) if len(others) else 0, BLOCK):
        part = slice(start, start + BLOCK)
        apart = np.bitwise_count(ours[part, None] ^ others[None])
        index[part] = apart.argmin(axis=1)
        bits[part] = apart.min(axis=1)
    return index, bits


def nearest_embedding(ours: np.ndarray, others: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (n, count) of the nearest of `others` (m, d) to each of `ours` (n, d), and their cosine (n, count).

    Cosines are of embeddings less the mean of `others`, so that unrelated faces have 0 on average.
    """
    mean = others.mean(axis=0)
    ours, others = unit(ours - mean), unit(others - mean)
    count = min(count, len(others))
    index, cosine = np.zeros((len(ours), count), np.int64), np.zeros((len(ours), count), np.float32)
    for start in range(0, len(ours), BLOCK):
        part = slice(start, start + BLOCK)
        all_cosines = ours[part] @ others.T
        best = np.argpartition(-all_cosines, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(all_cosines, best, axis=1), axis=1, kind="stable")
        index[part] = np.take_along_axis(best, order, axis=1)
        cosine[part] = np.take_along_axis(all_cosines, index[part], axis=1)
    return index, cosine


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (n, d) float32 of length 1; zeros stay."""
    rows = rows.astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
