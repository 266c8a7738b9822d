"""Keeps the start-up notes of TensorFlow's libraries off the terminal; errors, tracebacks and crashes pass."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

# Notes and warnings of absl and TensorFlow, and what CUDA's libraries write when two of them register one name.
NOTES = (
    r"WARNING: All log messages before absl::InitializeLog"
    r"|[IW]\d{4} \d\d:\d\d:"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:.*: [IW] (tensorflow|external)/"
    r"|.*Unable to register cu\w+ factory"
)
# A process of its own, so that what a crash writes last is passed on, too.
FILTER = """
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
notes = re.compile(sys.argv[1].encode())
for line in sys.stdin.buffer:
    if not notes.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


def importing(name: str) -> None:
    """Filter what is written to file descriptor 2 during the first import of a top-level module."""
    if name not in sys.modules:
        sys.meta_path.insert(0, _Finder(name))


@contextlib.contextmanager
def filtered() -> Iterator[None]:
    """Pass what is written to file descriptor 2 through FILTER; native code writes there, past sys.stderr.

    TF_CPP_MIN_LOG_LEVEL does not silence these lines in TensorFlow 2.21.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # there is no descriptor 2
        yield
        return
    command = [sys.executable, "-ISc", FILTER, NOTES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=terminal) as child:
        os.dup2(child.stdin.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


class _Finder(MetaPathFinder):
    """Finds one module as others do, once, and has it loaded under `filtered`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None:
            run = spec.loader.exec_module

            def exec_module(module: object) -> None:
                with filtered():
                    run(module)

            spec.loader.exec_module = exec_module
        return spec
