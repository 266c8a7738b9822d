"""Check params.yaml and the files that it names; mend what a move or a full disk broke; silent where all is well."""

import json
import sys
import time
from pathlib import Path

import yaml

from faces import params


def main() -> None:
    """Check what a person may have changed, or a full disk cut short, since the last run."""
    missing = absent(params.load())
    if missing:
        sys.exit("\n".join(missing))
    mend(Path(".dvc/tmp/rwlock"))
    lock = Path("dvc.lock")
    try:
        yaml.safe_load(lock.read_bytes() if lock.exists() else b"")
    except yaml.YAMLError:
        sys.exit(f"{lock} can't be read, as where a full disk cut it short: `git checkout {lock}`, then go on")
    if Path("mlflow.db").exists():
        from faces.tracking import store

        with store.lock():
            was = store.relocate(Path.cwd())
        if was:
            print(f"This folder was at {was}; MLflow's runs and models are found here now.")


def absent(p: params.Params) -> list[str]:
    """A line for each file or folder of one's own that params.yaml names and that is not there."""
    named = {("tables", name, "labels"): table.labels for name, table in p.tables.items()}
    named |= {
        ("variants", key, "pictures"): row.pictures for key, row in p.variants.items() if row.pictures is not None
    }
    named |= {("split", "from", name, "file"): split.file for name, split in p.split.from_.items()}
    return [f"{params.where(key)}: {path} is not there" for key, path in named.items() if not Path(path).exists()]


def mend(lock: Path, patience: float = 1.0) -> None:
    """Remove DVC's list of who reads and writes what where it was cut short: DVC refuses to start while it is there.

    patience: seconds that it must have been unreadable for, since a dvc at work writes it in place.
    """
    end = time.monotonic() + patience
    while lock.exists():
        try:
            json.loads(lock.read_bytes())
            return
        except ValueError:
            if time.monotonic() > end:
                lock.unlink(missing_ok=True)
                print(f"{lock} was cut short, as by a kill or a full disk: removed")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
