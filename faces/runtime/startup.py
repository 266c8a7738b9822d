"""Faster imports of large packages, and TensorFlow without its start-up messages; errors are shown as usual."""

import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# Notes and warnings of absl and TensorFlow, and messages of CUDA's libraries when two of them register one name.
NOTES = (
    r"WARNING: All log messages before absl::InitializeLog"
    r"|[IW]\d{4} \d\d:\d\d:"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:.*: [IW] (tensorflow|external)/"
    r"|.*Unable to register cu\w+ factory"
)
# A process of its own, so that the last lines of a crash pass as well.
FILTER = """
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
notes = re.compile(sys.argv[1].encode())
for line in sys.stdin.buffer:
    if not notes.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


def speed_up_import(name: str, quiet: bool = False) -> None:
    """Import a top-level module without garbage collection, when it is imported.

    A collection visits all objects, and an import makes a million that stay: TensorFlow's took 8 s instead of 6.
    quiet: pass the module's output to file descriptor 2 through FILTER during the import.
    """
    sys.meta_path.insert(0, ImportHook(name, quiet))


@dataclass
class ImportHook(MetaPathFinder):
    """Finds one module as PathFinder does, and wraps its execution in the context managers below."""

    name: str
    quiet: bool

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == self.name else None
        if spec is not None and spec.loader is not None:
            run = collection_paused()(spec.loader.exec_module)
            spec.loader.exec_module = filtered_stderr()(run) if self.quiet else run  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Pause garbage collection, and exclude the objects that exist at the end from later collections."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@contextlib.contextmanager
def filtered_stderr() -> Iterator[None]:
    """Pass output to file descriptor 2 through FILTER; native code writes there, not to sys.stderr.

    TF_CPP_MIN_LOG_LEVEL does not silence these lines in TensorFlow 2.21.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # there is no descriptor 2
        yield
        return
    command = [sys.executable, "-ISc", FILTER, NOTES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=terminal) as child:
        os.dup2(child.stdin.fileno(), 2)  # type: ignore[union-attr]
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
