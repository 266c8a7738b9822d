"""Ray clusters of this machine for tests and benchmarks: each node is processes of its own, which can be killed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

STORE = 200_000_000  # bytes of a node's object store
PATIENCE = 60.0  # seconds for a node to come up


@dataclass
class Cluster:
    """A head and other nodes; address: as FACES_CLUSTER takes it."""

    folder: Path
    port: int
    nodes: list[subprocess.Popen] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of the head."""
        return f"127.0.0.1:{self.port}"

    def add(self, cpus: int = 1, store: int = STORE, env: dict[str, str] | None = None) -> subprocess.Popen:
        """Start another node, the head first."""
        place = ["--address", self.address]
        if not self.nodes:
            place = ["--head", "--port", str(self.port), "--include-dashboard=false", "--temp-dir", str(self.folder)]
        options = ["--node-ip-address=127.0.0.1", "--disable-usage-stats", "--block", f"--num-cpus={cpus}"]
        options += ["--num-gpus=0", f"--object-store-memory={store}"]
        log = (self.folder / f"node-{len(self.nodes)}.log").open("w")
        node = subprocess.Popen(
            [Path(sys.executable).with_name("ray"), "start", *place, *options],
            stdout=log,
            stderr=log,
            env=os.environ | (env or {}),
            start_new_session=True,
        )
        log.close()
        self.nodes.append(node)
        end = time.monotonic() + PATIENCE
        told = Path(log.name)
        while "Ray runtime started" not in told.read_text():
            if node.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"a node did not start: {told.read_text()[-2000:]}")
            time.sleep(0.2)
        return node

    def stop(self) -> None:
        """End all nodes, the head last."""
        for node in reversed(self.nodes):
            kill(node)


def kill(node: subprocess.Popen) -> None:
    """End a node and all its processes at once, as a machine that loses its power."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(node.pid)
        for each in [family, *family.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
    node.wait()


def workers(node: subprocess.Popen, busy: str = "") -> list[psutil.Process]:
    """Workers of a node; busy: a word in the title of those that are meant, which Ray names after their task."""
    found = []
    for each in psutil.Process(node.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            title = " ".join(each.cmdline())
            if title.startswith("ray::") and busy in title:
                found.append(each)
    return found


def kill_workers(node: subprocess.Popen, busy: str) -> None:
    """Kill those workers of a node, which itself stays."""
    for worker in workers(node, busy):
        worker.kill()


@contextlib.contextmanager
def started(*cpus: int, store: int = STORE) -> Iterator[Cluster]:
    """A cluster of nodes with so many cores each, the head first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # short, for its sockets
        cluster = Cluster(Path(folder), port)
        try:
            for each in cpus:
                cluster.add(each, store)
            yield cluster
        finally:
            cluster.stop()
