"""Nearest neighbours between two sets of faces: by perceptual hash and by a model's embedding."""

import numpy as np

BLOCK = 2**25  # hashes compared at a time: 256 MiB


def nearest_hash(ours: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index (n,) of the nearest of `others` (m,) uint64 to each of `ours` (n,), and the bits (n,) that differ."""
    index, bits = np.zeros(len(ours), np.int64), np.full(len(ours), 64)
    step = max(1, BLOCK // max(1, len(others)))
    for start in range(0, len(ours) if len(others) else 0, step):
        part = slice(start, start + step)
        apart = np.bitwise_count(ours[part, None] ^ others[None])
        index[part], bits[part] = apart.argmin(axis=1), apart.min(axis=1)
    return index, bits


def nearest_embedding(ours: np.ndarray, others: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (n, count) of the nearest of `others` (m, d) to each of `ours` (n, d), and their cosine (n, count).

    Cosines are of embeddings less the mean of `others`, so that unrelated faces have 0 on average.
    """
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    mean = others.mean(axis=0)
    ours, others = normalize(ours - mean), normalize(others - mean)
    search = NearestNeighbors(n_neighbors=min(count, len(others)), algorithm="brute").fit(others)
    distance, index = search.kneighbors(ours)  # a few rows at a time
    return index, 1 - distance**2 / 2  # of vectors of length 1
