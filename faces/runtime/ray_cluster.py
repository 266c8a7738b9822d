"""Runs the work of executor.py on a Ray cluster where FACES_CLUSTER names one.

FACES_CLUSTER is `auto` on a machine of the cluster, or the address of its head, HOST:PORT, as `ray start` prints it.
Workers get this project's code; nodes with other versions of the packages that change results are refused. Data are
sent with the work, so that nodes need no shared folder. Only this module imports Ray.
"""

import collections
import functools
import hashlib
import importlib
import importlib.metadata
import os
import platform
import queue
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from faces.runtime import progress

CLUSTER = "FACES_CLUSTER"
PACKAGES = ("keras", "numpy", "onnxruntime", "pandas", "pillow", "pyarrow", "scikit-learn", "scipy", "tensorflow")
TRIES = 4  # of an item whose worker or node died
AHEAD = 3  # items per core that are running, or done and not used yet
TIMEOUT = 10.0  # seconds to connect to a cluster's head
ROOT = Path(__file__).parents[2]
CODE = ("faces", "stages")  # packages that workers import
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "MLFLOW_DISABLE_TELEMETRY": "true"}
# Images are sent in the call and rows in its result, since workers would wait for Ray's object store; a worker with
# more work keeps its lease. Packing took 1.4 times as long without these.
TUNED = {"RAY_max_direct_call_object_size": "4000000", "RAY_worker_lease_timeout_milliseconds": "10000"}

OnMessage = Callable[..., None]


def address() -> str:
    """Address of the cluster that runs the work, '' where this machine does."""
    return os.environ.get(CLUSTER, "").strip()


def map_ordered(work: Callable, items: Iterable, shared: dict) -> Iterator:
    """Do as executor.map_ordered."""
    ray = connect()
    call = ray.remote(_call).options(num_cpus=1, max_retries=0)
    name, stored = _work_name(work), ray.put(shared)
    ahead = AHEAD * max(2, int(ray.cluster_resources().get("CPU", 1)))

    def start(item: Any) -> tuple[Any, Any]:
        return call.remote(name, item, stored), item

    for reference, item in started(items, start, lambda pair: ray.cancel(pair[0], force=True), ahead):
        for tries in range(1, TRIES + 1):
            try:
                yield ray.get(reference)
                break
            except _worker_errors() as error:
                if tries == TRIES:
                    raise SystemExit(f"{name[1]}: its worker died {TRIES} times: {_first_line(error)}") from None
                reference, _ = start(item)
            except ray.exceptions.RayError as error:
                raise _cause(error) from error


def started(items: Iterable, start: Callable, cancel: Callable, ahead: int) -> Iterator:
    """Yield start(item) of each item, in order, with up to `ahead` of them started; at the end cancel the others."""
    pending: collections.deque = collections.deque()
    try:
        for item in items:
            pending.append(start(item))
            if len(pending) >= ahead:
                yield pending.popleft()
        while pending:
            yield pending.popleft()
    finally:
        for begun in pending:
            cancel(begun)


def run_jobs(
    work: Callable, items: Sequence, on_message: OnMessage, cpus: int, gpus: int, shared: dict
) -> Iterator[tuple[int, Any]]:
    """Do as executor.run_jobs."""
    ray = connect()
    gpus = min(gpus, largest_node("GPU"))
    resources = {"num_cpus": min(cpus, largest_node("CPU", gpus)), "num_gpus": gpus}
    # a worker with a GPU ends after one job, since TensorFlow would keep that GPU's memory
    run = (ray.remote(max_calls=1)(_run) if gpus else ray.remote(_run)).options(
        num_returns="streaming", max_retries=0, **resources
    )
    name, stored = _work_name(work), ray.put(shared)
    tries: collections.Counter[int] = collections.Counter()

    def start(number: int) -> Any:
        tries[number] += 1
        return run.remote(name, items[number], stored)

    running = {start(number): number for number in range(len(items))}
    try:
        while running:
            ready, _ = ray.wait(list(running), num_returns=1)
            stream, number = ready[0], running[ready[0]]
            try:
                kind, value = ray.get(next(stream))
            except _worker_errors() as error:
                del running[stream]
                line = _first_line(error)
                if tries[number] >= TRIES:
                    raise SystemExit(f"{name[1]} {number}: its worker died {TRIES} times: {line}") from None
                progress.say(f"{name[1]} {number}: its worker died ({line}); it is tried again")
                running[start(number)] = number
                continue
            except ray.exceptions.RayError as error:
                raise _cause(error) from error
            if kind == "message":
                on_message(number, *value)
            else:
                del running[stream]
                yield number, value
    finally:
        for stream in running:
            ray.cancel(stream, force=True)


def _worker_errors() -> tuple[type[Exception], ...]:
    """Errors of Ray where a worker or node failed, not the work; and that of a stream which ended without a result."""
    errors = connect().exceptions
    return (
        StopIteration,
        errors.WorkerCrashedError,
        errors.NodeDiedError,
        errors.LocalRayletDiedError,
        errors.ObjectLostError,
        errors.OutOfMemoryError,
        errors.RaySystemError,
    )


def _cause(error: Exception) -> BaseException:
    """The error that work raised on its worker; SystemExit where it raised that, and for Ray's own errors."""
    cause = getattr(error, "cause", None)
    if cause is None:
        return SystemExit(f"the cluster cannot run this: {_first_line(error)}")
    return SystemExit(str(cause)) if isinstance(cause, WorkerExit) else cause


class WorkerExit(Exception):
    """A SystemExit on a worker, which Ray would not pass on as one."""


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _work_name(work: Callable) -> tuple[str, str, str]:
    """Module and name by which a worker imports a function, also of a stage that runs as __main__; and our versions."""
    spec = sys.modules[work.__module__].__spec__
    return spec.name if spec else work.__module__, work.__qualname__, _versions_text()


@functools.cache
def _versions_text() -> str:
    return str(versions())


def _call(name: tuple[str, str, str], item: Any, shared: dict, *send: Callable) -> Any:
    """On a worker: work on an item."""
    module, function, needed = name
    try:
        if needed != _versions_text():  # a node that joined after the others were checked
            raise SystemExit(f"{platform.node()} has {_versions_text()}, but this project needs {needed}")
        return getattr(importlib.import_module(module), function)(item, *send, **shared)
    except SystemExit as error:
        raise WorkerExit(str(error)) from error


def _run(name: tuple[str, str, str], item: Any, shared: dict) -> Iterator[tuple[str, Any]]:
    """On a worker: work on an item in a thread; yield ("message", arguments) meanwhile and ("done", result) at last."""
    messages: queue.Queue = queue.Queue()

    def work() -> None:
        try:
            messages.put(("done", _call(name, item, shared, lambda *arguments: messages.put(("message", arguments)))))
        except BaseException as error:  # noqa: BLE001 - it is raised in the process that started the work
            messages.put(("failed", error))

    threading.Thread(target=work, daemon=True).start()
    kind = ""
    while kind != "done":
        kind, value = messages.get()
        if kind == "failed":
            raise value
        yield kind, value


@functools.cache
def connect() -> Any:
    """Connect to the cluster as a driver, and return Ray. Raises SystemExit, naming the remedy."""
    head = address()
    for name, value in TUNED.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise SystemExit(f"{CLUSTER} is {head}, but Ray is not installed: run `make setup CLUSTER=1`") from None
    remedy = f"start a cluster by `ray start --head` and set {CLUSTER}=HOST:PORT, or unset it to use this machine"
    if head != "auto":
        host, _, port = head.rpartition(":")
        if not host or not port.isdigit() or "//" in head:
            raise SystemExit(f"{CLUSTER}={head}: is neither auto nor HOST:PORT of a cluster's head; {remedy}")
        try:
            socket.create_connection((host, int(port)), TIMEOUT).close()
        except (OSError, OverflowError) as error:
            raise SystemExit(f"no cluster answers at {CLUSTER}={head} ({error}); {remedy}") from None
    try:
        with tempfile.TemporaryDirectory() as folder:  # of our code alone; workers import it before a clone of theirs
            for name in CODE:
                shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
            environment = {"working_dir": folder, "env_vars": QUIET | {name: os.environ[name] for name in TUNED}}
            ray.init(address=head, log_to_driver=False, logging_level="ERROR", runtime_env=environment)
    except (ConnectionError, RuntimeError, ValueError, AssertionError, ray.exceptions.RayError) as error:
        raise SystemExit(f"{CLUSTER}={head}: {' '.join(str(error).split())[:600]}; {remedy}") from None
    faults = version_faults(ray)
    if faults:
        raise SystemExit(f"machines of the cluster are not set up as this one: {'; '.join(faults)}")
    nodes, cores = sum(node["Alive"] for node in ray.nodes()), ray.cluster_resources().get("CPU", 0)
    if cores < 1:
        raise SystemExit(f"{CLUSTER}={head}: the cluster has no core to work on")
    progress.say(f"on a Ray cluster of {nodes} {'node' if nodes == 1 else 'nodes'}, {cores:g} cores")
    return ray


def largest_node(resource: str, gpus: int = 0) -> int:
    """The most of a resource, CPU or GPU, that one node has, of the nodes with at least so many GPUs."""
    nodes = [node["Resources"] for node in connect().nodes() if node["Alive"]]
    return max((int(node.get(resource, 0)) for node in nodes if node.get("GPU", 0) >= gpus), default=0)


def versions() -> dict[str, str]:
    """Versions {name: version} of everything but data that changes results, '' for a package that is not installed."""
    files = [path for name in CODE for path in sorted((ROOT / name).rglob("*.py"))]
    code = b"\0".join(path.relative_to(ROOT).as_posix().encode() + path.read_bytes() for path in files)
    digest = hashlib.sha256(code).hexdigest()[:12]
    machine = {"python": platform.python_version(), "machine": platform.machine(), "this project's code": digest}
    installed = {package.metadata["Name"].lower(): package.version for package in importlib.metadata.distributions()}
    return machine | {name: installed.get(name, "") for name in PACKAGES}


def version_faults(ray: Any) -> list[str]:
    """Lines on the nodes of the cluster whose versions differ from this process's; empty where none does."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ours, nodes = versions(), [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    call = ray.remote(versions)
    references = [call.options(num_cpus=0, scheduling_strategy=place).remote() for place in places]
    lines = []
    for node, reference in zip(nodes, references, strict=True):
        try:
            theirs = ray.get(reference)
            different = [name for name in ours if theirs[name] != ours[name]]
            names = ", ".join(f"{name} {theirs[name] or 'none'} instead of {ours[name]}" for name in different)
            fault = f"has {names}" if different else ""
        except ray.exceptions.RayError as error:
            alive = any(other["Alive"] for other in ray.nodes() if other["NodeID"] == node["NodeID"])
            fault = f"cannot run this project's code ({_first_line(error)})" if alive else ""  # else it died meanwhile
        lines += [f"{node['NodeManagerAddress']} {fault}"] if fault else []
    return lines
