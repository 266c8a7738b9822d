"""Runs work on this machine's cores or, where FACES_CLUSTER names one, on a Ray cluster; results are the same.

Work is a module-level function, called with an item and with the arguments that all items share.
"""

import functools
import multiprocessing
import multiprocessing.process
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from faces.runtime import ray_cluster
from faces.runtime.ray_cluster import AHEAD, OnMessage


def map_ordered(work: Callable, items: Iterable, processes: bool = False, **shared: Any) -> Iterator:
    """Yield work(item, **shared) of each item, in order; few items are read ahead.

    On this machine, it runs in as many threads as cores, or in processes, for work that holds the interpreter lock.
    Raises the errors of work, and SystemExit where workers die.
    """
    if ray_cluster.address():
        yield from ray_cluster.map_ordered(work, items, shared)
        return
    workers = os.cpu_count() or 1
    with _processes(workers) if processes else ThreadPoolExecutor(workers) as pool:
        submit = functools.partial(pool.submit, work, **shared)
        try:
            for future in ray_cluster.started(items, submit, Future.cancel, AHEAD * workers):
                yield future.result()
        except BrokenProcessPool:
            raise SystemExit("a worker was killed, probably for lack of memory: free some and run again") from None


def run_jobs(
    work: Callable, items: Sequence, on_message: OnMessage, cpus: int, gpus: int = 1, **shared: Any
) -> Iterator[tuple[int, Any]]:
    """Yield (number, work(item, send, **shared)) of long jobs: one after the other here, as they end on a cluster.

    on_message: called here with the number of the item and the arguments of each call of `send`; these must be
    picklable. cpus: cores that each job takes, of one machine; gpus: GPUs that it takes where the cluster has some.
    """
    if ray_cluster.address():
        yield from ray_cluster.run_jobs(work, items, on_message, cpus, gpus, shared)
        return
    for number, item in enumerate(items):
        yield number, work(item, functools.partial(on_message, number), **shared)


def _processes(workers: int) -> Executor:
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    return ProcessPoolExecutor(workers, context, initializer=die_with_parent)


def die_with_parent() -> None:
    """In a worker: leave interrupts to the parent, and exit when it ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_exit_after, args=(multiprocessing.parent_process(),), daemon=True).start()


def _exit_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
