"""A Ray cluster, as engine.py sends work to it where FACES_CLUSTER names one.

FACES_CLUSTER is `auto` on a machine of the cluster, or the address of its head, HOST:PORT, as `ray start` prints it.
Workers get this project's code, and those with other versions of the packages that results hang on are refused. Data go
with the work, so that nodes need no folder in common. This is the only module that knows Ray.
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

import stages
from faces.runtime import progress

CLUSTER = "FACES_CLUSTER"
PACKAGES = ("keras", "numpy", "onnxruntime", "pandas", "pillow", "pyarrow", "scipy", "tensorflow")
TRIES = 4  # of an item, each after its worker or its node died
AHEAD = 3  # items under way, or done and not taken yet, for each core
PATIENCE = 10.0  # seconds in which a cluster's head must take a connection
CODE = Path(stages.__file__).parent
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "MLFLOW_DISABLE_TELEMETRY": "true"}
# Pictures go with the call for their work, and rows come back with the answer, where Ray's object store would have
# workers wait for them; and a worker that has more to do is not asked for anew. Packing took 1.4 times as long without.
TUNED = {"RAY_max_direct_call_object_size": "4000000", "RAY_worker_lease_timeout_milliseconds": "10000"}

Tell = Callable[..., None]


def address() -> str:
    """Address of the cluster that work goes to, '' where it stays on this machine."""
    return os.environ.get(CLUSTER, "").strip()


def each(work: Callable, items: Iterable, shared: dict) -> Iterator:
    """As engine.each."""
    ray = connect()
    call = ray.remote(_call).options(num_cpus=1, max_retries=0)
    name, kept = _name(work), ray.put(shared)
    ahead = AHEAD * max(2, int(ray.cluster_resources().get("CPU", 1)))
    pending: collections.deque = collections.deque()

    def first() -> Any:
        reference, item = pending[0]
        for tries in range(1, TRIES + 1):
            try:
                result = ray.get(reference)
            except _lost() as error:
                if tries == TRIES:
                    raise SystemExit(f"{name[1]}: its worker died {TRIES} times: {_line(error)}") from None
                reference = call.remote(name, item, kept)
            except ray.exceptions.RayError as error:
                raise _cause(error) from error
            else:
                pending.popleft()
                return result
        return None

    try:
        for item in items:
            pending.append((call.remote(name, item, kept), item))
            if len(pending) >= ahead:
                yield first()
        while pending:
            yield first()
    finally:
        for reference, _ in pending:
            ray.cancel(reference, force=True)


def side_by_side(
    work: Callable, items: Sequence, tell: Tell, cpus: int, gpus: int, shared: dict
) -> Iterator[tuple[int, Any]]:
    """As engine.side_by_side."""
    ray = connect()
    gpus = min(gpus, most("GPU"))
    resources = {"num_cpus": min(cpus, most("CPU", gpus)), "num_gpus": gpus}
    # a worker that had a GPU ends with its work, or TensorFlow would keep that GPU's memory
    run = (ray.remote(max_calls=1)(_run) if gpus else ray.remote(_run)).options(
        num_returns="streaming", max_retries=0, **resources
    )
    name, kept, tries = _name(work), ray.put(shared), collections.Counter()

    def start(number: int) -> Any:
        tries[number] += 1
        return run.remote(name, items[number], kept)

    running = {start(number): number for number in range(len(items))}
    try:
        while running:
            ready, _ = ray.wait(list(running), num_returns=1)
            stream, number = ready[0], running[ready[0]]
            try:
                message = ray.get(next(stream))
            except (*_lost(), StopIteration) as error:
                del running[stream]
                if tries[number] >= TRIES:
                    raise SystemExit(f"{name[1]} {number}: its worker died {TRIES} times: {_line(error)}") from None
                progress.say(f"{name[1]} {number}: its worker died ({_line(error)}); it is tried again")
                running[start(number)] = number
                continue
            except ray.exceptions.RayError as error:
                raise _cause(error) from error
            kind, value = message
            if kind == "told":
                tell(number, *value)
            else:
                del running[stream]
                yield number, value
    finally:
        for stream in running:
            ray.cancel(stream, force=True)


def _lost() -> tuple[type[Exception], ...]:
    """What Ray raises where not the work failed, but who did it."""
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
    """What work raised on its worker; a SystemExit for one, which Ray would not bring here, and for Ray's faults."""
    cause = getattr(error, "cause", None)
    if cause is None:
        return SystemExit(f"the cluster cannot do it: {_line(error)}")
    return SystemExit(str(cause)) if isinstance(cause, Refused) else cause


class Refused(Exception):
    """A SystemExit, on its way from a worker."""


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _name(work: Callable) -> tuple[str, str, str]:
    """Module and name by which a worker finds a function, also that of a stage that runs as __main__, and our stamp."""
    module = work.__module__
    return (sys.modules[module].__spec__.name if module == "__main__" else module), work.__qualname__, _stamp()


@functools.cache
def _stamp() -> str:
    return str(versions())


def _find(name: tuple[str, str, str]) -> Callable:
    if name[2] != _stamp():  # a node that came after the others were looked at
        raise SystemExit(f"{platform.node()} is not set up as the others: it has {_stamp()}, wanted is {name[2]}")
    return getattr(importlib.import_module(name[0]), name[1])


def _call(name: tuple[str, str, str], item: Any, shared: dict) -> Any:
    """On a worker: work on an item."""
    try:
        return _find(name)(item, **shared)
    except SystemExit as error:
        raise Refused(str(error)) from error


def _run(name: tuple[str, str, str], item: Any, shared: dict) -> Iterator[tuple[str, Any]]:
    """On a worker: work on an item in a thread, and yield ("told", arguments) while it runs, ("done", result) then."""
    said: queue.Queue = queue.Queue()

    def work() -> None:
        try:
            said.put(("done", _find(name)(item, lambda *what: said.put(("told", what)), **shared)))
        except SystemExit as error:
            said.put(("failed", Refused(str(error))))
        except BaseException as error:  # noqa: BLE001 - it is raised where the work was asked for
            said.put(("failed", error))

    threading.Thread(target=work, daemon=True).start()
    kind = ""
    while kind != "done":
        kind, value = said.get()
        if kind == "failed":
            raise value
        yield kind, value


@functools.cache
def connect() -> Any:
    """Ray, as a driver of the cluster. Raises SystemExit, naming the remedy, where that cannot be."""
    where = address()
    for name, value in TUNED.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise SystemExit(f"{CLUSTER} is {where}, but Ray is not here: `make setup CLUSTER=1` installs it") from None
    remedy = f"`ray start --head` on one machine makes a cluster, {CLUSTER}=HOST:PORT names it, unset is without one"
    if where != "auto":
        host, _, port = where.rpartition(":")
        if not host or not port.isdigit() or "//" in where:
            raise SystemExit(f"{CLUSTER}={where}: is neither auto nor HOST:PORT of a cluster's head; {remedy}")
        try:
            socket.create_connection((host, int(port)), PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise SystemExit(f"no cluster answers at {CLUSTER}={where} ({error}); {remedy}") from None
    try:
        with (
            tempfile.TemporaryDirectory() as folder
        ):  # of our code alone; else they would take that of a clone of theirs
            shutil.copytree(CODE, Path(folder, CODE.name), ignore=shutil.ignore_patterns("__pycache__"))
            environment = {"working_dir": folder, "env_vars": QUIET | {name: os.environ[name] for name in TUNED}}
            ray.init(address=where, log_to_driver=False, logging_level="ERROR", runtime_env=environment)
    except (ConnectionError, RuntimeError, ValueError, AssertionError, ray.exceptions.RayError) as error:
        raise SystemExit(f"{CLUSTER}={where}: {' '.join(str(error).split())[:600]}; {remedy}") from None
    others = different(ray)
    if others:
        raise SystemExit(f"machines of the cluster are not set up as this one: {'; '.join(others)}")
    nodes = [node for node in ray.nodes() if node["Alive"]]
    cores = ray.cluster_resources().get("CPU", 0)
    if cores < 1:
        raise SystemExit(f"{CLUSTER}={where}: the cluster has no core to work on")
    progress.say(f"on a Ray cluster of {len(nodes)} {'node' if len(nodes) == 1 else 'nodes'}, {cores:g} cores")
    return ray


def most(resource: str, gpus: int = 0) -> int:
    """What the node of the cluster that has most of a resource, CPU or GPU, has of it, of those with so many GPUs."""
    found = [node["Resources"] for node in connect().nodes() if node["Alive"]]
    return max((int(each.get(resource, 0)) for each in found if each.get("GPU", 0) >= gpus), default=0)


def versions() -> dict[str, str]:
    """What results hang on besides code and data, {name: version}, '' of a package that is not here."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    code = [path.relative_to(CODE).as_posix().encode() + path.read_bytes() for path in sorted(CODE.rglob("*.py"))]
    found["this project's code"] = hashlib.sha256(b"\0".join(code)).hexdigest()[:12]
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found


def different(ray: Any) -> list[str]:
    """What the nodes of the cluster have that differs from what this process has; empty where nothing does."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ours, asked = versions(), {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU"):
            on = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[node["NodeManagerAddress"], node["NodeID"]] = (
                ray.remote(versions).options(num_cpus=0, scheduling_strategy=on).remote()
            )
    found = []
    for (host, node), reference in asked.items():
        try:
            theirs = ray.get(reference)
        except ray.exceptions.RayError as error:
            if not any(each["Alive"] for each in ray.nodes() if each["NodeID"] == node):
                continue  # it died meanwhile
            found.append(f"{host} cannot run this project's code ({_line(error)})")
            continue
        apart = [
            f"{name} {theirs[name] or 'none'} instead of {ours[name]}" for name in ours if theirs[name] != ours[name]
        ]
        if apart:
            found.append(f"{host} has {', '.join(apart)}")
    return found
