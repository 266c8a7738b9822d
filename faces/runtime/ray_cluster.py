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
PACKAGES = ("keras", "numpy", "onnxruntime", "pandas", "pillow", "pyarrow", "scipy", "tensorflow")
TRIES = 4  # of an item whose worker or node died
AHEAD = 3  # items per core that are running, or done and not used yet
TIMEOUT = 10.0  # seconds to connect to a cluster's head
ROOT = Path(__file__).parents[2]
CODE = ("faces", "stages")  # packages that workers import
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "MLFLOW_DISABLE_TELEMETRY": "true"}
# Pictures are sent in the call and rows in its result, since workers would wait for Ray's object store; a worker with
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
    pending: collections.deque = collections.deque()

    def first_result() -> Any:
        reference, item = pending[0]
        for tries in range(1, TRIES + 1):
            try:
                result = ray.get(reference)
            except _worker_errors() as error:
                if tries == TRIES:
                    raise SystemExit(f"{name[1]}: its worker died {TRIES} times: {_first_line(error)}") from None
                reference = call.remote(name, item, stored)
            except ray.exceptions.RayError as error:
                raise _cause(error) from error
            else:
                pending.popleft()
                return result
        return None

    try:
        for item in items:
            pending.append((call.remote(name, item, stored), item))
            if len(pending) >= ahead:
                yield first_result()
        while pending:
            yield first_result()
    finally:
        for reference, _ in pending:
            ray.cancel(reference, force=True)


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
    name, stored, tries = _work_name(work), ray.put(shared), collections.Counter()

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
            except (*_worker_errors(), StopIteration) as error:
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
    """Errors of Ray where a worker or node failed, not the work."""
    errors = connect().exceptions
    return (
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
    module = work.__module__
    module = sys.modules[module].__spec__.name if module == "__main__" else module
    return module, work.__qualname__, _versions_text()


@functools.cache
def _versions_text() -> str:
    return str(versions())


def _import_work(name: tuple[str, str, str]) -> Callable:
    if name[2] != _versions_text():  # a node that joined after the others were checked
        raise SystemExit(f"{platform.node()} has {_versions_text()}, but this project needs {name[2]}")
    return getattr(importlib.import_module(name[0]), name[1])


def _call(name: tuple[str, str, str], item: Any, shared: dict) -> Any:
    """On a worker: work on an item."""
    try:
        return _import_work(name)(item, **shared)
    except SystemExit as error:
        raise WorkerExit(str(error)) from error


def _run(name: tuple[str, str, str], item: Any, shared: dict) -> Iterator[tuple[str, Any]]:
    """On a worker: work on an item in a thread; yield ("message", arguments) meanwhile and ("done", result) at last."""
    messages: queue.Queue = queue.Queue()

    def send(*arguments: Any) -> None:
        messages.put(("message", arguments))

    def work() -> None:
        try:
            messages.put(("done", _import_work(name)(item, send, **shared)))
        except SystemExit as error:
            messages.put(("failed", WorkerExit(str(error))))
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
    nodes = [node for node in ray.nodes() if node["Alive"]]
    cores = ray.cluster_resources().get("CPU", 0)
    if cores < 1:
        raise SystemExit(f"{CLUSTER}={head}: the cluster has no core to work on")
    progress.say(f"on a Ray cluster of {len(nodes)} {'node' if len(nodes) == 1 else 'nodes'}, {cores:g} cores")
    return ray


def largest_node(resource: str, gpus: int = 0) -> int:
    """The most of a resource, CPU or GPU, that one node has, of the nodes with at least so many GPUs."""
    nodes = [node["Resources"] for node in connect().nodes() if node["Alive"]]
    return max((int(node.get(resource, 0)) for node in nodes if node.get("GPU", 0) >= gpus), default=0)


def versions() -> dict[str, str]:
    """Versions {name: version} of everything but data that changes results, '' for a package that is not installed."""
    files = [path for name in CODE for path in sorted((ROOT / name).rglob("*.py"))]
    code = b"\0".join(path.relative_to(ROOT).as_posix().encode() + path.read_bytes() for path in files)
    result = {"python": platform.python_version(), "machine": platform.machine()}
    result["this project's code"] = hashlib.sha256(code).hexdigest()[:12]
    for name in PACKAGES:
        try:
            result[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            result[name] = ""
    return result


def version_faults(ray: Any) -> list[str]:
    """Lines on the nodes of the cluster whose versions differ from this process's; empty where none does."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ours, references = versions(), {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU"):
            on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            references[node["NodeManagerAddress"], node["NodeID"]] = (
                ray.remote(versions).options(num_cpus=0, scheduling_strategy=on_node).remote()
            )
    lines = []
    for (host, node_id), reference in references.items():
        try:
            theirs = ray.get(reference)
        except ray.exceptions.RayError as error:
            if not any(node["Alive"] for node in ray.nodes() if node["NodeID"] == node_id):
                continue  # it died meanwhile
            lines.append(f"{host} cannot run this project's code ({_first_line(error)})")
            continue
        differences = [
            f"{name} {theirs[name] or 'none'} instead of {ours[name]}" for name in ours if theirs[name] != ours[name]
        ]
        if differences:
            lines.append(f"{host} has {', '.join(differences)}")
    return lines
