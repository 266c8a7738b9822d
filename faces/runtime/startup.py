"""How large packages are imported: in three quarters of the time, and TensorFlow without its start-up notes.

Errors, tracebacks and crashes are shown as ever.
"""

import contextlib
import gc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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


def importing(name: str, quietly: bool = False) -> None:
    """Have the first import of a top-level module done without garbage collection; later ones leave it out.

    A collection looks at all objects, and an import makes a million that stay: TensorFlow's took 8 s instead of 6.
    quietly: pass what is written to file descriptor 2 meanwhile through FILTER.
    """
    if name not in sys.modules:
        sys.meta_path.insert(0, _Finder(name, filtered if quietly else contextlib.nullcontext))


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage meanwhile, and leave what there is then out of later collections."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


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
    """Finds one module as others do, once, and has it loaded in a context, uncollected."""

    def __init__(self, name: str, context: Callable[[], contextlib.AbstractContextManager]) -> None:
        self.name, self.context = name, context

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None:
            load = spec.loader.exec_module

            def exec_module(module: object) -> None:
                with self.context(), uncollected():
                    load(module)

            spec.loader.exec_module = exec_module
        return spec
