"""Find copies of an image: exact ones by content hash, near ones by their pixels, mirrored ones included.

Two images are near copies where the fine detail of their grey thumbnails correlates. Hashes of a few bits match
different people with similar smiles before they match a copy that was cropped, compressed or mirrored; detail separates
the two.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse
from scipy.ndimage import gaussian_filter
from scipy.sparse.csgraph import connected_components

from faces.data import packs
from faces.images import preprocessing
from faces.runtime import executor

SIDE = 24  # pixels, of a thumbnail
BLUR = 1.5  # pixels: standard deviation of the blur that separates fine from coarse detail
NOISE = 8.0  # grey levels: detail much weaker than this is noise
ROWS, COLUMNS = 1024, 8192  # compared together
SYMMETRIC, ASYMMETRIC = 64, 32  # principal directions in which pairs are compared first
DETAIL_SCALE = 32767  # details are stored as int16 multiples of 1 / DETAIL_SCALE, in half of the memory
ROUNDING = 2e-3  # margin of the first comparison, for rounding errors
MAX_PAIRS = 4_000_000  # above this, pairs are reduced to chains
MAX_ALL_PAIRS = 150_000  # images, up to which each is compared with all others
BLOCK_PAIRS = 2**22  # compared together above MAX_ALL_PAIRS
CELLS, NEAREST = 1024, 16  # cells above MAX_ALL_PAIRS, and with how many each image is compared, mirrored as well


def thumbnails(pack: packs.Pack, rows: np.ndarray) -> np.ndarray:
    """Grey thumbnails (n, SIDE, SIDE) uint8 of rows (n,) of a pack of square images."""
    parts = (pack.images(rows[start : start + 512]) for start in range(0, len(rows), 512))
    return np.concatenate([np.zeros((0, SIDE, SIDE), np.uint8), *executor.map_ordered(decode_thumbnails, parts)])


def decode_thumbnails(encoded: list[bytes]) -> np.ndarray:
    """Grey thumbnails (n, SIDE, SIDE) uint8 of n encoded square images of one size."""
    return shrink(np.stack([np.asarray(preprocessing.decode(content)) for content in encoded]))


def shrink(images: np.ndarray) -> np.ndarray:
    """Grey thumbnails (n, SIDE, SIDE) uint8 of images (n, s, s, 3) uint8; s is SIDE or more."""
    luma = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    edges = np.linspace(0, luma.shape[1], SIDE + 1).round().astype(int)
    for axis in (1, 2):
        luma = np.add.reduceat(luma, edges[:-1], axis=axis)
    return (luma / np.outer(np.diff(edges), np.diff(edges))).round().astype(np.uint8)


def details(thumbs: np.ndarray) -> np.ndarray:
    """Fine detail (n, SIDE, SIDE) float32 of thumbnails (n, SIDE, SIDE), scaled to length 1 per image.

    It is what a blur removes, divided by its local strength: light, contrast and what all faces share drop out.
    """
    blur = (0, BLUR, BLUR)
    fine = thumbs.astype(np.float32)
    fine -= gaussian_filter(fine, blur)
    fine /= np.sqrt(gaussian_filter(fine * fine, blur)) + NOISE
    return fine / np.maximum(np.sqrt((fine * fine).sum(axis=(1, 2), keepdims=True)), 1e-9)


def correlation(fine: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlation (n,), -1 to 1, of details (n, SIDE, SIDE) pair by pair; one of a pair may be mirrored."""
    straight, mirrored = (np.einsum("nij,nij->n", fine, image) for image in (other, other[:, :, ::-1]))
    return np.maximum(straight, mirrored)


def near_pairs(thumbs: np.ndarray, min_correlation: float) -> np.ndarray:
    """Pairs (m, 2) of thumbnails (n, SIDE, SIDE) whose details correlate by `min_correlation` or more.

    Pairs are first compared in a few directions; the other directions add at most the product of the lengths that
    remain (Cauchy-Schwarz). Pairs that may still reach the minimum are compared in full. Up to MAX_ALL_PAIRS images,
    all pairs are compared; above, each image is compared with those in its nearest cells, which misses 2 of the 1,033
    near pairs of UTKFace. Equal images are chained, first to second to third, instead of paired with one another; so
    are all pairs above MAX_PAIRS.
    """
    if not len(thumbs):
        return np.zeros((0, 2), int)
    first, inverse = np.unique(thumbs.reshape(len(thumbs), -1), axis=0, return_index=True, return_inverse=True)[1:]
    pairs, count = [equal_pairs(inverse.ravel())], len(first)
    fine = np.empty((count, *thumbs.shape[1:]), np.int16)
    for start in range(0, count, ROWS):
        fine[start : start + ROWS] = np.rint(details(thumbs[first[start : start + ROWS]]) * DETAIL_SCALE)
    even, odd = (_projected(fine, sign, size) for sign, size in ((1, SYMMETRIC), (-1, ASYMMETRIC)))
    main, mirrored = np.column_stack([even, odd[:, -1]]), odd[:, :-1]
    del even

    blocks = _all_blocks(count) if count <= MAX_ALL_PAIRS else _near_blocks(main[:, :-2], mirrored)
    total = len(pairs[0])
    for i, j in executor.map_ordered(
        correlated, blocks, fine=fine, main=main, mirrored=mirrored, min_correlation=min_correlation
    ):
        pairs.append(np.column_stack([first[i], first[j]]))
        total += len(i)
        if total > MAX_PAIRS:
            pairs = [equal_pairs(groups(len(thumbs), *pairs))]
            total = len(pairs[0])
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)


def correlated(
    block: tuple[np.ndarray, np.ndarray],
    fine: np.ndarray,
    main: np.ndarray,
    mirrored: np.ndarray,
    min_correlation: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (m,) of rows, and (m,) of columns, of the pairs in a block that correlate by the minimum or more.

    fine, main, mirrored: details of all images and their coordinates, as near_pairs computes them.
    """
    rows, columns = block
    bound, turned = main[rows] @ main[columns].T, mirrored[rows] @ mirrored[columns].T
    bound += np.abs(turned, out=turned)
    i, j = np.divmod(np.flatnonzero(bound >= min_correlation - ROUNDING), bound.shape[1])
    i, j = rows[i], columns[j]
    i, j = i[i != j], j[i != j]
    parts = [slice(k, k + ROWS) for k in range(0, len(i), ROWS)]
    exact = [correlation(_as_float(fine[i[part]]), _as_float(fine[j[part]])) for part in parts]
    near = np.concatenate([np.zeros(0, np.float32), *exact]) >= min_correlation
    return i[near], j[near]


Blocks = Iterator[tuple[np.ndarray, np.ndarray]]  # rows and columns to be compared


def _all_blocks(count: int) -> Blocks:
    for start in range(0, count, ROWS):
        rows = np.arange(start, min(start + ROWS, count))
        for column in range(start, count, COLUMNS):
            yield rows, np.arange(column, min(column + COLUMNS, count))


def _near_blocks(even: np.ndarray, odd: np.ndarray) -> Blocks:
    """Pair the images of each cell with all that have it among their nearest cells, as they are or mirrored.

    The centres of the cells are images at equal distances in the list (an inverted file: Sivic and Zisserman, 2003).
    """
    count, starts = len(even), range(0, len(even), ROWS)
    centres = np.column_stack([even, odd])[np.linspace(0, count - 1, CELLS).astype(int)]
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    own, near = np.empty(count, np.int16), np.empty((count, 2 * NEAREST), np.int16)
    for part in (slice(start, start + ROWS) for start in starts):
        both = [np.column_stack([even[part], sign * odd[part]]) @ centres.T for sign in (1, -1)]
        own[part] = both[0].argmax(axis=1)
        near[part] = np.hstack([np.argpartition(-closeness, NEAREST, axis=1)[:, :NEAREST] for closeness in both])
    order = np.argsort(near, axis=None, kind="stable").astype(np.int32)
    ends = np.cumsum(np.bincount(near.ravel(), minlength=CELLS))
    for cell in range(CELLS):
        members = np.flatnonzero(own == cell)
        seekers = np.unique(order[ends[cell - 1] if cell else 0 : ends[cell]] // near.shape[1])
        size = max(1, BLOCK_PAIRS // max(1, len(members)))
        for start in range(0, len(seekers), size):
            yield seekers[start : start + size], members


def _as_float(stored: np.ndarray) -> np.ndarray:
    return stored.astype(np.float32) / np.float32(DETAIL_SCALE)


def _projected(fine: np.ndarray, sign: int, size: int) -> np.ndarray:
    """Coordinates (n, size + 1) of the even (sign 1) or odd (-1) halves of details along their principal directions.

    The last column is the length of what these directions leave out.
    """

    def halves(part: np.ndarray) -> np.ndarray:
        part = _as_float(part)
        return ((part + sign * part[:, :, ::-1]) / 2).reshape(len(part), -1)

    subset = halves(fine[:: max(1, len(fine) // 4096)])
    directions = np.linalg.eigh(subset.T @ subset)[1][:, -size:]
    coordinates = np.empty((len(fine), size + 1), np.float32)
    for start in range(0, len(fine), ROWS):
        half = halves(fine[start : start + ROWS])
        along = half @ directions
        rest = np.sqrt(np.maximum((half**2).sum(axis=1) - (along**2).sum(axis=1), 0))
        coordinates[start : start + ROWS] = np.column_stack([along, rest])
    return coordinates


def equal_pairs(values: np.ndarray) -> np.ndarray:
    """Pairs (m, 2) that chain equal values (n,); an empty string equals no other."""
    values = np.asarray(values, dtype=str)
    order = np.argsort(values, kind="stable")
    same = (values[order][1:] == values[order][:-1]) & (values[order][1:] != "")
    return np.column_stack([order[:-1][same], order[1:][same]])


def groups(n: int, *pairs: np.ndarray) -> np.ndarray:
    """Group number (n,) of each of n items, joined by pairs (m, 2)."""
    joined = np.concatenate([np.zeros((0, 2), int), *pairs])
    graph = scipy.sparse.coo_matrix((np.ones(len(joined), bool), joined.T), shape=(n, n))
    return connected_components(graph, directed=False)[1]
