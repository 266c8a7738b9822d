"""Runs a stage: one process at a time, resuming after a kill, with errors that name the remedy."""

import contextlib
import errno
import gc
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from faces.runtime import progress

PARENT = os.getppid()
ABANDONED_AFTER = 7 * 86400  # seconds


def root() -> Path:
    """The project's folder, also while DVC runs an experiment in a copy of it (DVC sets DVC_ROOT)."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def stage(main: Callable[..., None]) -> None:
    """Run the `main` of a stage with the arguments of the command line, in one process at a time in this folder.

    Where a killed dvc left the same stage running, wait for that process. Ctrl-C and a full disk end it in one line.
    """
    arguments = sys.argv[1:]
    name = Path(main.__code__.co_filename).stem + ("@" + "-".join(arguments) if arguments else "")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{name}: stopped; the next dvc repro resumes"))
    try:
        with hold_lock(Path("data/partial/locks", name), name):
            main(*arguments)
        gc.freeze()  # no collection at exit, which takes 1.5 s with TensorFlow
    except KeyboardInterrupt:
        sys.exit(f"{name}: stopped; the next dvc repro resumes")
    except Exception as error:
        cause = disk_full(error)
        if cause is None:
            raise
        free = shutil.disk_usage(Path.cwd()).free // 2**20
        sys.exit(f"{name}: the disk is full ({cause}; {free} MiB free here): make room, then run dvc repro again")


def disk_full(error: BaseException | None) -> BaseException | None:
    """The first error in a chain of causes that reports a full disk; None where none does."""
    cause = None
    while error is not None:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left on device" in str(error) or "disk is full" in str(error):
            cause = error
        error = error.__cause__ or error.__context__
    return cause


@contextlib.contextmanager
def hold_lock(path: Path, name: str) -> Iterator[None]:
    """Hold a lock until the block or the process ends; where another process holds it, say which and wait.

    path: without suffix, of path.lock and path.holder. The files stay: a process that waits for a removed file would
    not notice a new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, holder = filelock.FileLock(f"{path}.lock"), Path(f"{path}.holder")
    timeout = 0.5  # seconds
    while not lock.is_locked:
        try:
            lock.acquire(timeout=timeout)
        except filelock.Timeout:
            timeout = 60
            pid = holder.read_text().strip() if holder.exists() else "unknown"
            progress.say(f"{name}: process {pid} is already running this; waiting for it (`kill {pid}` stops it)")
    try:
        holder.write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def unfinished(stage_name: str, name: str, key: str) -> Iterator[Path]:
    """Lock and yield a folder for state that must survive a crash; it is removed at the end of the block.

    key: fingerprint of the code, params and data that the state belongs to. Where dvc was killed and left this process
    running, the folder stays for the next run.
    """
    partial = root() / "data" / "partial"
    folder = partial / stage_name / f"{name}-{key}"
    with hold_lock(partial / "locks" / f"{stage_name}-{name}-{key}", f"{stage_name}@{name}"):
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        if os.getppid() == PARENT:
            shutil.rmtree(folder, ignore_errors=True)
            remove_abandoned(partial / stage_name)


def remove_abandoned(folder: Path) -> None:
    """Remove the state of a stage's runs in which nothing was written for ABANDONED_AFTER seconds."""
    for state in folder.iterdir():
        newest = max((path.stat().st_mtime for path in (state, *state.rglob("*"))), default=0.0)
        if time.time() - newest > ABANDONED_AFTER:
            progress.say(f"{state} is removed: nothing was written there for {ABANDONED_AFTER // 86400} days")
            shutil.rmtree(state, ignore_errors=True)


def replace(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under another name and move it to its path, so that a crash leaves the old or the new file."""
    part = path.with_name(path.name + ".part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
