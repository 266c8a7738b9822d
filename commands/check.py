"""Check params.yaml and the files that it names; repair what a move or a full disk broke. Silent where all is well."""

import json
import sys
import time
from pathlib import Path

import yaml

from faces import params


def main() -> None:
    """Check what may have changed, or been truncated on a full disk, since the last run."""
    missing = absent(params.load())
    if missing:
        sys.exit("\n".join(missing))
    mend(Path(".dvc/tmp/rwlock"))
    lock = Path("dvc.lock")
    try:
        yaml.safe_load(lock.read_bytes() if lock.exists() else b"")
    except yaml.YAMLError:
        sys.exit(f"{lock} cannot be read, perhaps truncated on a full disk: type `git checkout {lock}`")
    if Path("mlflow.db").exists():
        from faces.tracking import store

        with store.lock():
            old = store.relocate(Path.cwd())
        if old:
            print(f"This folder was moved from {old}; the paths in MLflow's store are updated.")


def absent(p: params.Params) -> list[str]:
    """A line for each file or folder of the user's that params.yaml names and that is missing."""
    paths = {("tables", name, "labels"): table.labels for name, table in p.tables.items()}
    paths |= {
        ("variants", key, "pictures"): row.pictures for key, row in p.variants.items() if row.pictures is not None
    }
    paths |= {("split", "from", name, "file"): split.file for name, split in p.split.from_.items()}
    return [f"{params.where(key)}: {path} is missing" for key, path in paths.items() if not Path(path).exists()]


def mend(lock: Path, patience: float = 1.0) -> None:
    """Remove DVC's lock file where it was truncated, since DVC then refuses to start.

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
                print(f"{lock} was truncated, perhaps by a kill or a full disk: removed")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
