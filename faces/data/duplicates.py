"""Copies of a picture among many: exact ones by content hash, near ones by their pixels, mirrored ones included.

Two pictures are of one photo where the fine detail of small grey versions of them correlates. Hashes of a few bits
join strangers who smile alike before they find a copy that was cut, compressed or mirrored; detail tells them apart.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse
from scipy.ndimage import gaussian_filter
from scipy.sparse.csgraph import connected_components

from faces.data import packs
from faces.images import preprocessing
from faces.runtime import executor

SIDE = 24  # pixels, of the small grey picture
COARSE = 1.5  # pixels: standard deviation of the blur that divides fine from coarse
FAINT = 8.0  # grey levels: detail much weaker than this is noise
ROWS, COLUMNS = 1024, 8192  # compared together
SYMMETRIC, ASYMMETRIC = 64, 32  # directions in which pairs are compared first
WHOLE = 32767  # details are kept as whole parts of 1, in half of the memory
SLACK = 2e-3  # of the first comparison, for rounding
MANY = 4_000_000  # pairs, above which they are thinned to chains
ALL = 150_000  # pictures, up to which each is compared with all others
BLOCK = 2**22  # pairs compared together then
CELLS, NEAREST = 1024, 16  # into which more are sorted, and how many of them each is compared with, mirrored as well


def thumbnails(pack: packs.Pack, rows: np.ndarray) -> np.ndarray:
    """Small grey pictures (n, SIDE, SIDE) uint8 of rows (n,) of a pack of square pictures."""

    parts = (pack.images(rows[start : start + 512]) for start in range(0, len(rows), 512))
    return np.concatenate([np.zeros((0, SIDE, SIDE), np.uint8), *executor.each(thumbnails_of, parts)])


def thumbnails_of(encoded: list[bytes]) -> np.ndarray:
    """Small grey pictures (n, SIDE, SIDE) uint8 of n encoded square ones of one size."""
    return small(np.stack([np.asarray(preprocessing.decode(content)) for content in encoded]))


def small(images: np.ndarray) -> np.ndarray:
    """Grey pictures (n, SIDE, SIDE) uint8 of (n, s, s, 3) uint8; s is SIDE or more."""
    grey = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    edges = np.linspace(0, grey.shape[1], SIDE + 1).round().astype(int)
    for axis in (1, 2):
        grey = np.add.reduceat(grey, edges[:-1], axis=axis)
    return (grey / np.outer(np.diff(edges), np.diff(edges))).round().astype(np.uint8)


def details(grey: np.ndarray) -> np.ndarray:
    """Fine detail (n, SIDE, SIDE) float32, of length 1 a picture, of small grey pictures (n, SIDE, SIDE).

    What a blur takes away, over its local strength: light, contrast and the face that all faces share drop out.
    """
    blur = (0, COARSE, COARSE)
    fine = grey.astype(np.float32)
    fine -= gaussian_filter(fine, blur)
    fine /= np.sqrt(gaussian_filter(fine * fine, blur)) + FAINT
    return fine / np.maximum(np.sqrt((fine * fine).sum(axis=(1, 2), keepdims=True)), 1e-9)


def correlation(ours: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Correlation (n,), -1 to 1, of details (n, SIDE, SIDE) pair by pair, of which one may be mirrored."""
    straight, mirrored = (np.einsum("nij,nij->n", ours, each) for each in (others, others[:, :, ::-1]))
    return np.maximum(straight, mirrored)


def near_pairs(grey: np.ndarray, least: float) -> np.ndarray:
    """Pairs (m, 2) of small grey pictures (n, SIDE, SIDE) whose details correlate by `least` or more.

    Pairs are compared first in few directions, where the others can add no more than the product of their lengths
    (Cauchy-Schwarz), then in full if they still may. Up to ALL pictures, every pair is; above, each picture is compared
    with those in the cells nearest to it, which misses 2 of the 1,033 near pairs of UTKFace. Equal pictures are
    chained, first to second to third, instead of paired each with each; so are all, where they are very many.
    """
    if not len(grey):
        return np.zeros((0, 2), int)
    first, which = np.unique(grey.reshape(len(grey), -1), axis=0, return_index=True, return_inverse=True)[1:]
    found, count = [equal_pairs(which.ravel())], len(first)
    fine = np.empty((count, *grey.shape[1:]), np.int16)
    for at in range(0, count, ROWS):
        fine[at : at + ROWS] = np.rint(details(grey[first[at : at + ROWS]]) * WHOLE)
    even, odd = (_projected(fine, sign, size) for sign, size in ((1, SYMMETRIC), (-1, ASYMMETRIC)))
    main, mirrored = np.column_stack([even, odd[:, -1]]), odd[:, :-1]
    del even

    blocks = _all_blocks(count) if count <= ALL else _near_blocks(main[:, :-2], mirrored)
    held = len(found[0])
    for i, j in executor.each(compared, blocks, fine=fine, main=main, mirrored=mirrored, least=least):
        found.append(np.column_stack([first[i], first[j]]))
        held += len(i)
        if held > MANY:
            found = [equal_pairs(groups(len(grey), *found))]
            held = len(found[0])
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def compared(
    block: tuple[np.ndarray, np.ndarray], fine: np.ndarray, main: np.ndarray, mirrored: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which of rows and columns correlate by `least` or more: indices (m,) of the one and of the other.

    fine, main, mirrored: details, and their coordinates, of all pictures, as near_pairs makes them.
    """
    rows, columns = block
    bound, turned = main[rows] @ main[columns].T, mirrored[rows] @ mirrored[columns].T
    bound += np.abs(turned, out=turned)
    i, j = np.divmod(np.flatnonzero(bound >= least - SLACK), bound.shape[1])
    i, j = rows[i], columns[j]
    i, j = i[i != j], j[i != j]
    near = [
        correlation(_details(fine[i[k : k + ROWS]]), _details(fine[j[k : k + ROWS]])) >= least
        for k in range(0, len(i), ROWS)
    ]
    near = np.concatenate([np.zeros(0, bool), *near])
    return i[near], j[near]


Blocks = Iterator[tuple[np.ndarray, np.ndarray]]  # rows and columns to be compared


def _all_blocks(count: int) -> Blocks:
    for start in range(0, count, ROWS):
        rows = np.arange(start, min(start + ROWS, count))
        for at in range(start, count, COLUMNS):
            yield rows, np.arange(at, min(at + COLUMNS, count))


def _near_blocks(even: np.ndarray, odd: np.ndarray) -> Blocks:
    """Blocks of the pictures of a cell with all that have it among their nearest, as they are or mirrored.

    The cells lie about pictures spread over the list (an inverted file: Sivic and Zisserman, 2003).
    """
    count, parts = len(even), range(0, len(even), ROWS)
    centres = np.column_stack([even, odd])[np.linspace(0, count - 1, CELLS).astype(int)]
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    own, near = np.empty(count, np.int16), np.empty((count, 2 * NEAREST), np.int16)
    for at in (slice(start, start + ROWS) for start in parts):
        straight, mirrored = (np.column_stack([even[at], sign * odd[at]]) @ centres.T for sign in (1, -1))
        own[at] = straight.argmax(axis=1)
        near[at] = np.hstack([np.argpartition(-each, NEAREST, axis=1)[:, :NEAREST] for each in (straight, mirrored)])
    order = np.argsort(near, axis=None, kind="stable").astype(np.int32)
    ends = np.cumsum(np.bincount(near.ravel(), minlength=CELLS))
    for cell in range(CELLS):
        members = np.flatnonzero(own == cell)
        seekers = np.unique(order[ends[cell - 1] if cell else 0 : ends[cell]] // near.shape[1])
        size = max(1, BLOCK // max(1, len(members)))
        for at in range(0, len(seekers), size):
            yield seekers[at : at + size], members


def _details(stored: np.ndarray) -> np.ndarray:
    return stored.astype(np.float32) / np.float32(WHOLE)


def _projected(fine: np.ndarray, sign: int, size: int) -> np.ndarray:
    """Coordinates (n, size) of the even (sign 1) or odd (-1) halves of details along their main directions.

    One column more: the length (n,) of what the directions leave out.
    """

    def halves(part: np.ndarray) -> np.ndarray:
        part = _details(part)
        return ((part + sign * part[:, :, ::-1]) / 2).reshape(len(part), -1)

    some = halves(fine[:: max(1, len(fine) // 4096)])
    directions = np.linalg.eigh(some.T @ some)[1][:, -size:]
    found = np.empty((len(fine), size + 1), np.float32)
    for at in range(0, len(fine), ROWS):
        half = halves(fine[at : at + ROWS])
        along = half @ directions
        rest = np.sqrt(np.maximum((half**2).sum(axis=1) - (along**2).sum(axis=1), 0))
        found[at : at + ROWS] = np.column_stack([along, rest])
    return found


def equal_pairs(values: np.ndarray) -> np.ndarray:
    """Pairs (m, 2) that chain equal values (n,) together; empty strings are equal to nothing."""
    values = np.asarray(values, dtype=str)
    order = np.argsort(values, kind="stable")
    same = (values[order][1:] == values[order][:-1]) & (values[order][1:] != "")
    return np.column_stack([order[:-1][same], order[1:][same]])


def groups(n: int, *pairs: np.ndarray) -> np.ndarray:
    """Group number (n,) of each of n items, joined by pairs (m, 2)."""
    joined = np.concatenate([np.zeros((0, 2), int), *pairs])
    graph = scipy.sparse.coo_matrix((np.ones(len(joined), bool), joined.T), shape=(n, n))
    return connected_components(graph, directed=False)[1]
