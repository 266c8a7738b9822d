"""How a stage runs: one of a kind at a time, going on where a killed one stopped, with faults that can be acted on."""

import contextlib
import errno
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from faces.runtime import progress

PARENT = os.getppid()


def root() -> Path:
    """The project's folder, also where DVC runs an experiment in a copy of it (DVC sets DVC_ROOT)."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def stage(main: Callable[..., None]) -> None:
    """Run the `main` of a stage with the words of the command line, alone in its kind in this folder.

    Where a killed dvc left the same stage running, wait for that process. A full disk ends the stage with one line.
    """
    words = sys.argv[1:]
    name = Path(main.__code__.co_filename).stem + ("@" + "-".join(words) if words else "")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{name}: stopped"))
    try:
        with hold(Path("data/partial/locks", name), name):
            main(*words)
        gc.freeze()  # what is left goes with the process: to collect it first takes one with TensorFlow 1.5 s
    except Exception as error:
        cause = disk_full(error)
        if cause is None:
            raise
        free = shutil.disk_usage(Path.cwd()).free // 2**20
        sys.exit(f"{name}: the disk is full ({cause}; {free} MiB free here): make room, then run dvc repro again")


def disk_full(error: BaseException | None) -> BaseException | None:
    """The first of an error and what led to it that says that no space is left; None where none does."""
    found = None
    while error is not None:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left on device" in str(error) or "disk is full" in str(error):
            found = error
        error = error.__cause__ or error.__context__
    return found


@contextlib.contextmanager
def hold(place: Path, what: str) -> Iterator[None]:
    """Hold a lock, which goes with the process; say who has it, and wait, where another process does.

    place: its files are place.lock and place.holder, which stay: a lock that is removed is two locks to who waits.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    lock, holder = filelock.FileLock(f"{place}.lock"), Path(f"{place}.holder")
    told = False
    while not lock.is_locked:
        try:
            lock.acquire(timeout=60 if told else 0.5)
        except filelock.Timeout:
            told = True
            pid = holder.read_text().strip() if holder.exists() else "unknown"
            progress.say(f"{what}: process {pid} is at this work already; waiting for it (`kill {pid}` stops it)")
    try:
        holder.write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def unfinished(work: str, name: str, key: str) -> Iterator[Path]:
    """A folder for what must survive a crash, held alone, and gone once the work is done.

    work: the stage; key: of the code, params and data that what lies there belongs to. Where dvc was killed and left
    this process alone, the folder stays: the next run will want it.
    """
    partial = root() / "data" / "partial"
    folder = partial / work / f"{name}-{key}"
    with hold(partial / "locks" / f"{work}-{name}-{key}", f"{work}@{name}"):
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        if os.getppid() == PARENT:
            shutil.rmtree(folder, ignore_errors=True)


def replace(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file beside its place and move it there, so that a crash leaves the old one or the new one."""
    part = path.with_name(path.name + ".part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
