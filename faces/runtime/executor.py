"""Where work runs: on this machine's cores or, where FACES_CLUSTER names one, on a Ray cluster; results are the same.

Work is a function of a module, called with an item and with what all items share.
"""

import collections
import functools
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from faces.runtime import ray_cluster
from faces.runtime.ray_cluster import AHEAD, Tell


def each(work: Callable, items: Iterable, processes: bool = False, **shared: Any) -> Iterator:
    """Yield work(item, **shared) of each item, in order; few items are read ahead.

    On this machine by as many threads as cores, or by processes, for work that keeps the interpreter to itself.
    Raises what work raises, and SystemExit where workers die.
    """
    if ray_cluster.address():
        yield from ray_cluster.each(work, items, shared)
        return
    workers = os.cpu_count() or 1
    with _processes(workers) if processes else ThreadPoolExecutor(workers) as pool:
        pending: collections.deque = collections.deque()
        try:
            for item in items:
                pending.append(pool.submit(work, item, **shared))
                if len(pending) >= AHEAD * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise SystemExit("a worker was killed, most likely for want of memory: free some and run again") from None
        finally:
            for left in pending:
                left.cancel()


def side_by_side(
    work: Callable, items: Sequence, tell: Tell, cpus: int, gpus: int = 1, **shared: Any
) -> Iterator[tuple[int, Any]]:
    """Yield (number, work(item, tell, **shared)) of long works: one after the other here, as they end on a cluster.

    tell: what work calls with arguments that can be pickled while it runs; it is called here, with the number of the
    item before them. cpus: cores that each takes, of one machine; gpus: GPUs as well, where the cluster has some.
    """
    if ray_cluster.address():
        yield from ray_cluster.side_by_side(work, items, tell, cpus, gpus, shared)
        return
    for number, item in enumerate(items):
        yield number, work(item, functools.partial(tell, number), **shared)


def _processes(workers: int) -> Executor:
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    return ProcessPoolExecutor(workers, context, initializer=die_with_parent)


def die_with_parent() -> None:
    """In a worker: leave interrupts to the parent, and end when it is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gone = multiprocessing.parent_process().sentinel
    threading.Thread(target=lambda: (multiprocessing.connection.wait([gone]), os._exit(1)), daemon=True).start()
