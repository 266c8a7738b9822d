"""What this project needs of DVC that no command or function of DVC gives; nothing else relies on how DVC works inside.

tests/runtime/test_dvc_internals.py does all of it with DVC itself, so it fails where a new version of DVC differs.
"""

import json
import subprocess
import time
from pathlib import Path

from faces.runtime import progress

LOCK = Path(".dvc/tmp/rwlock")  # in which DVC lists the paths that running stages read and write
EXPERIMENTS = "refs/exps/*:refs/exps/*"  # what git fetches to have another clone's DVC experiments, without their data


def mend_lock(lock: Path = LOCK, patience: float = 1.0) -> None:
    """Remove DVC's lock file where it was truncated, since DVC then refuses to start, and cannot remove it itself.

    patience: seconds for which it must be unreadable, since a running dvc writes it in place.
    """
    end = time.monotonic() + patience
    while lock.exists():
        try:
            json.loads(lock.read_bytes())
            return
        except ValueError:
            if time.monotonic() > end:
                lock.unlink(missing_ok=True)
                progress.say(f"{lock} was truncated, perhaps by a kill or a full disk: removed")
        time.sleep(0.05)


def cached_file(md5: str) -> Path | None:
    """The file of that checksum in DVC's cache, None where it has none: DVC restores outputs, but no single file."""
    done = subprocess.run(["dvc", "cache", "dir"], capture_output=True, text=True, check=False)
    path = Path(done.stdout.strip(), "files/md5", md5[:2], md5[2:])
    return path if done.returncode == 0 and path.is_file() else None


def is_set_up(line: str) -> bool:
    """Whether a line that `dvc exp run` prints is of its first stage.

    The experiment then has its own copy of the project. Until then it shares a git stash with every other one, so that
    the next must wait; DVC's queue would not, but its runs outlive the process that started them.
    """
    return line.startswith(("Running stage", "Stage ", "'"))
