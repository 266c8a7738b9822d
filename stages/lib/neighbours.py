"""Which faces of one set look like faces of another: by perceptual hash, by a model's embedding, and by pixels.

Hash and embedding propose; the pixels decide whether two pictures are of one photo.
"""

import numpy as np

BLOCK = 512  # rows compared with all others together
SIDE = 24  # pixels, of the small grey picture that decides
SAME = 0.9  # correlation of such pictures, less the mean face, above which two are of one photo


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
    """Indices (n, count) of the most alike of `others` (m, d) to each of `ours` (n, d), and their cosine (n, count).

    Cosines are of embeddings less the mean of `others`, so that 0 is what strangers have on average.
    """
    mean = others.mean(axis=0)
    ours, others = unit(ours - mean), unit(others - mean)
    count = min(count, len(others))
    index, cosine = np.zeros((len(ours), count), np.int64), np.zeros((len(ours), count), np.float32)
    for start in range(0, len(ours), BLOCK):
        part = slice(start, start + BLOCK)
        found = ours[part] @ others.T
        best = np.argpartition(-found, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(found, best, axis=1), axis=1, kind="stable")
        index[part] = np.take_along_axis(best, order, axis=1)
        cosine[part] = np.take_along_axis(found, index[part], axis=1)
    return index, cosine


def small(images: np.ndarray) -> np.ndarray:
    """Grey pictures (n, SIDE, SIDE) uint8 of (n, s, s, 3) uint8; s is SIDE or more."""
    grey = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    edges = np.linspace(0, grey.shape[1], SIDE + 1).round().astype(int)
    for axis in (1, 2):
        grey = np.add.reduceat(grey, edges[:-1], axis=axis)
    return (grey / np.outer(np.diff(edges), np.diff(edges))).round().astype(np.uint8)


def same_photo(ours: np.ndarray, others: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Correlation (n,), -1 to 1, of grey pictures pair by pair, of which one may be mirrored.

    ours, others: (n, SIDE, SIDE); mean: (SIDE * SIDE,), as mean_face gives it.
    """
    turned = (others, others[:, :, ::-1])
    return np.maximum(*((unit(flat(ours) - mean) * unit(flat(each) - mean)).sum(axis=1) for each in turned))


def mean_face(*grey: np.ndarray) -> np.ndarray:
    """What aligned faces of strangers share: mean (SIDE * SIDE,) of `flat` over pictures and their mirror images."""
    rows = np.concatenate([flat(part) for part in grey])
    mean = rows.mean(axis=0).reshape(SIDE, SIDE)
    return ((mean + mean[:, ::-1]) / 2).ravel()


def flat(grey: np.ndarray) -> np.ndarray:
    """Pictures (n, SIDE, SIDE) as rows (n, SIDE * SIDE) free of brightness and contrast."""
    rows = grey.reshape(len(grey), -1).astype(np.float32)
    return unit(rows - rows.mean(axis=1, keepdims=True))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (n, d) float32 of length 1; zeros stay."""
    rows = rows.astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
