"""Bootstrap over people: with each person who is drawn come all of their faces.

Every score is a function of sums over faces (see metrics.py), so a resample is one row of counts times a table.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse
import scipy.special

BLOCK = 64  # resamples that are in memory together
TAIL = 250  # resamples that a tail is fitted to


def gather(table: np.ndarray | scipy.sparse.spmatrix, people: np.ndarray) -> scipy.sparse.csr_matrix:
    """Rows of a table (n, k) summed by person: (persons, k), given the name or number (n,) of each row's person."""
    names, index = np.unique(people, return_inverse=True)
    entry = (np.ones(len(index)), (index, np.arange(len(index))))
    return (scipy.sparse.csr_matrix(entry, shape=(len(names), len(index))) @ scipy.sparse.csr_matrix(table)).tocsr()


def counts(people: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks (b, people) float64 of how often each person is drawn; each row sums to `people`.

    In float64, since a sum in float32 shows in the sixth digit which routine of the processor made it.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, BLOCK):
        block = np.empty((min(BLOCK, resamples - start), people))
        for row in block:
            row[:] = np.bincount(rng.integers(0, people, people), minlength=people)
        yield block


def sums(table: np.ndarray | scipy.sparse.spmatrix, resamples: int, seed: int, threads: int = 2) -> np.ndarray:
    """Sums (resamples, k) of the rows of a table (people, k) over resamples of its rows."""
    columns = scipy.sparse.csr_matrix(table).T.tocsr()
    with ThreadPoolExecutor(threads) as pool:
        parts = _bounded(pool, columns, counts(table.shape[0], resamples, seed), threads)
        return np.concatenate(list(parts)) if resamples else np.zeros((0, table.shape[1]))


def _bounded(pool, columns, blocks, threads):  # noqa: ANN001 - few blocks in memory at a time
    waiting = []
    for block in blocks:
        waiting.append(pool.submit(lambda b: (columns @ np.ascontiguousarray(b.T)).T, block))
        if len(waiting) > threads:
            yield waiting.pop(0).result()
    for each in waiting:
        yield each.result()


def tail(drawn: np.ndarray, value: float) -> float:
    """Probability that a draw is `value` or more, also beyond all that were drawn.

    drawn: (resamples,). Where fewer than 10 draws reach the value, a generalised Pareto distribution is fitted to the
    largest TAIL of them (Knijnenburg et al. 2009, "Fewer permutations, more accurate P-values"), its shape held at 0
    or more so that the tail has no end: the number of resamples then sets no floor.
    """
    reached = int((drawn >= value).sum())
    if reached >= 10 or not math.isfinite(value) or len(drawn) < 4 * TAIL:
        return (reached + 1) / (len(drawn) + 1)
    import scipy.stats  # here, since most of those who resample fit nothing, and would wait 0.7 s

    ranked = np.sort(drawn)
    start = (ranked[-TAIL] + ranked[-TAIL - 1]) / 2
    excess = ranked[-TAIL:] - start
    if excess.max() <= 0:
        return (reached + 1) / (len(drawn) + 1)
    shape, _, scale = scipy.stats.genpareto.fit(excess, floc=0)
    if shape < 0:
        shape, scale = 0.0, excess.mean()
    return float(TAIL / len(drawn) * scipy.stats.genpareto.sf(value - start, shape, scale=scale))


def exact(share: float, n: int, confidence: float) -> tuple[float, float]:
    """Interval of a share of n faces by the binomial distribution (Clopper and Pearson 1934).

    For shares of 0 and 1, of which every resample is the same.
    """
    right, beyond = round(share * n), (1 - confidence) / 2
    low = scipy.special.betaincinv(right, n - right + 1, beyond) if right else 0.0
    high = scipy.special.betaincinv(right + 1, n - right, 1 - beyond) if right < n else 1.0
    return float(low), float(high)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm-adjusted p-values (n,) of a family (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * np.asarray(p)[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
