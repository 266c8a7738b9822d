"""Ray clusters on this machine for tests and benchmarks: each node has its own processes, which can be killed."""

import contextlib
import os
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
TIMEOUT = 60.0  # seconds for a node to start


@dataclass
class Cluster:
    """A head and other nodes."""

    folder: Path
    port: int
    nodes: list[subprocess.Popen] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Address of the head, as FACES_CLUSTER takes it."""
        return f"127.0.0.1:{self.port}"

    def add(self, cpus: int = 1, store: int = STORE, env: dict[str, str] | None = None) -> subprocess.Popen:
        """Start another node; the first is the head."""
        role = ["--address", self.address]
        if not self.nodes:
            role = ["--head", "--port", str(self.port), "--include-dashboard=false", "--temp-dir", str(self.folder)]
        options = ["--node-ip-address=127.0.0.1", "--disable-usage-stats", "--block", f"--num-cpus={cpus}"]
        options += ["--num-gpus=0", f"--object-store-memory={store}"]
        log = (self.folder / f"node-{len(self.nodes)}.log").open("w")
        node = subprocess.Popen(
            [Path(sys.executable).with_name("ray"), "start", *role, *options],
            stdout=log,
            stderr=log,
            env=os.environ | (env or {}),
            start_new_session=True,
        )
        log.close()
        self.nodes.append(node)
        end = time.monotonic() + TIMEOUT
        while "Ray runtime started" not in (output := Path(log.name).read_text()):
            if node.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"a node did not start: {output[-2000:]}")
            time.sleep(0.2)
        return node

    def stop(self) -> None:
        """End all nodes, the head last."""
        for node in reversed(self.nodes):
            kill(node)


def kill(node: subprocess.Popen) -> None:
    """Kill a node and all its processes at once, as a power failure would."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(node.pid)
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    node.wait()


def workers(node: subprocess.Popen, busy: str = "") -> list[psutil.Process]:
    """List the workers of a node; busy: a word in their titles, which Ray takes from their task."""
    matches = []
    for process in psutil.Process(node.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            title = " ".join(process.cmdline())
            if title.startswith("ray::") and busy in title:
                matches.append(process)
    return matches


def kill_workers(node: subprocess.Popen, busy: str) -> None:
    """Kill these workers of a node; the node itself stays."""
    for worker in workers(node, busy):
        worker.kill()


@contextlib.contextmanager
def started(*cpus: int, store: int = STORE) -> Iterator[Cluster]:
    """Start a cluster of nodes with these numbers of cores, the head first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # short, for its sockets
        cluster = Cluster(Path(folder), port)
        try:
            for count in cpus:
                cluster.add(count, store)
            yield cluster
        finally:
            cluster.stop()
