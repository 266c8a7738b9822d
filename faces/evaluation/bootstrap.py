"""Bootstrap over people: a resample contains all faces of each person that it contains.

Every score is a function of sums over faces (see metrics.py), so a resample is one row of counts times a table.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse
import scipy.special

BLOCK = 64  # resamples in memory at a time
TAIL = 250  # largest resamples, to which a tail is fitted


def gather(table: np.ndarray | scipy.sparse.spmatrix, people: np.ndarray) -> scipy.sparse.csr_matrix:
    """Rows of a table (n, k) summed by person: (persons, k), given the name or number (n,) of each row's person."""
    names, index = np.unique(people, return_inverse=True)
    entry = (np.ones(len(index)), (index, np.arange(len(index))))
    return (scipy.sparse.csr_matrix(entry, shape=(len(names), len(index))) @ scipy.sparse.csr_matrix(table)).tocsr()


def counts(people: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks (b, people) float64 of how often a resample contains each person; each row sums to `people`.

    In float64: the sixth digit of a sum in float32 depends on the processor.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, samples, BLOCK):
        block = np.empty((min(BLOCK, samples - start), people))
        for row in block:
            row[:] = np.bincount(rng.integers(0, people, people), minlength=people)
        yield block


def sums(table: np.ndarray | scipy.sparse.spmatrix, samples: int, seed: int, threads: int = 2) -> np.ndarray:
    """Sums (samples, k) of the rows of a table (people, k) over bootstrap samples of its rows."""
    columns = scipy.sparse.csr_matrix(table).T.tocsr()
    with ThreadPoolExecutor(threads) as pool:
        parts = _bounded(pool, columns, counts(table.shape[0], samples, seed), threads)
        return np.concatenate(list(parts)) if samples else np.zeros((0, table.shape[1]))


def paired_sums(
    first: np.ndarray, second: np.ndarray, people: np.ndarray, samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sums (samples, k) of the rows of two tables (n, k) of the same faces over the same resamples of people (n,)."""
    both = sums(gather(np.hstack([first, second]), people), samples, seed)
    return both[:, : first.shape[1]], both[:, first.shape[1] :]


def _bounded(pool, columns, blocks, threads):  # noqa: ANN001 - few blocks in memory at a time
    waiting = []
    for block in blocks:
        waiting.append(pool.submit(lambda b: (columns @ np.ascontiguousarray(b.T)).T, block))
        if len(waiting) > threads:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def tail(samples: np.ndarray, value: float) -> float:
    """Probability that a bootstrap statistic is `value` or more, also where `value` is beyond all samples.

    samples: (n,) values of the statistic. Where fewer than 10 reach the value, a generalised Pareto distribution is
    fitted to the largest TAIL of them (Knijnenburg et al. 2009, "Fewer permutations, more accurate P-values"). Its
    shape is kept at 0 or more, so that the tail has no end and the number of samples sets no least p-value.
    """
    reached = int((samples >= value).sum())
    if reached >= 10 or not math.isfinite(value) or len(samples) < 4 * TAIL:
        return (reached + 1) / (len(samples) + 1)
    import scipy.stats  # here, since it takes 0.7 s to import and few callers fit a tail

    ranked = np.sort(samples)
    start = (ranked[-TAIL] + ranked[-TAIL - 1]) / 2
    excess = ranked[-TAIL:] - start
    if excess.max() <= 0:
        return (reached + 1) / (len(samples) + 1)
    shape, _, scale = scipy.stats.genpareto.fit(excess, floc=0)
    if shape < 0:
        shape, scale = 0.0, excess.mean()
    return float(TAIL / len(samples) * scipy.stats.genpareto.sf(value - start, shape, scale=scale))


def exact(share: float, n: int, confidence: float) -> tuple[float, float]:
    """Interval of a share of n faces by the binomial distribution (Clopper and Pearson 1934).

    For shares of 0 and 1, which are the same in every resample.
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
