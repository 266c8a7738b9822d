"""Copies of a picture among many: exact ones by content hash, near ones by perceptual hash."""

import itertools

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

BITS = 63
BLOCK = 1 << 20  # candidate pairs looked at together


def near_pairs(hashes: np.ndarray, max_distance: int) -> np.ndarray:
    """Pairs (m, 2) of indices whose hashes (n,) uint64 differ in at most max_distance of their 63 bits.

    Two hashes that differ in d bits agree in one of d + 1 blocks of bits, so only those that share a block are
    compared. Equal hashes are chained, first to second to third, instead of paired each with each.
    """
    hashes = np.asarray(hashes, np.uint64)
    order = np.argsort(hashes, kind="stable")
    same = hashes[order][1:] == hashes[order][:-1]
    chains = np.column_stack([order[:-1][same], order[1:][same]])
    unique, first = np.unique(hashes, return_index=True)
    found = [chains]
    edges = np.linspace(0, BITS, max_distance + 2).astype(int)
    for low, high in itertools.pairwise(edges):
        block = (unique >> np.uint64(low)) & np.uint64((1 << (int(high) - int(low))) - 1)
        for i, j in _equal_pairs(block):
            close = np.bitwise_count(unique[i] ^ unique[j]) <= max_distance
            found.append(np.column_stack([first[i[close]], first[j[close]]]))
    pairs = np.sort(np.concatenate(found), axis=1)
    return np.unique(pairs, axis=0)


def _equal_pairs(keys: np.ndarray):
    """Yield blocks of all pairs (i, j) with equal keys."""
    order = np.argsort(keys, kind="stable")
    ordered, hit = keys[order], np.arange(len(keys))
    for step in itertools.count(1):
        hit = hit[: np.searchsorted(hit, len(keys) - step)]
        hit = hit[ordered[hit + step] == ordered[hit]]  # equal this far apart: equal one step nearer, too
        if not len(hit):
            return
        for start in range(0, len(hit), BLOCK):
            part = hit[start : start + BLOCK]
            yield order[part], order[part + step]


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
