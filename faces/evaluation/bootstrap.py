"""Bootstrap over people: a resample contains all faces of each person that it contains.

Every score is a function of sums over faces (see metrics.py), so a resample is one row of counts times a table.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import scipy.sparse
import scipy.special

BLOCK = 64  # resamples in memory at a time
THREADS = 2


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


def sums(table: scipy.sparse.csr_matrix, samples: int, seed: int) -> np.ndarray:
    """Sums (samples, k) of the rows of a table (people, k) over bootstrap samples of its rows."""
    with ThreadPoolExecutor(THREADS) as pool:
        blocks: list[Future] = []
        for block in counts(table.shape[0], samples, seed):
            blocks.append(pool.submit(table.__rmatmul__, block))
            wait(blocks[: -2 * THREADS])  # so that few blocks of counts are in memory at a time
        return np.concatenate([future.result() for future in blocks])


def resample(tables: list[np.ndarray], people: np.ndarray, samples: int, seed: int) -> list[np.ndarray]:
    """Sums (samples, k) of the rows of each of the tables (n, k) over the same bootstrap samples of people (n,)."""
    resampled = sums(gather(np.hstack(tables), people), samples, seed)
    return np.split(resampled, np.cumsum([table.shape[1] for table in tables[:-1]]), axis=1)


def p_value(samples: np.ndarray, value: float) -> float:
    """Probability that a bootstrap statistic, of which there are samples (n,), is `value` or more; never 0.

    At least 1 / (n + 1), since `value` is a possible one too (Davison and Hinkley 1997, eq. 4.11).
    """
    return (1 + int((samples >= value).sum())) / (1 + len(samples))


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
