"""Check params.yaml, saying each fault with its line, and mend what a move or a full disk broke; else silent."""

import json
import sys
import time
from pathlib import Path

import yaml

from stages.lib import params


def main() -> None:
    """Check what a person may have changed, or a full disk cut short, since the last run."""
    params.load()
    mend(Path(".dvc/tmp/rwlock"))
    try:
        if Path("dvc.lock").exists():
            yaml.load(Path("dvc.lock").read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        sys.exit("dvc.lock can't be read, as where a full disk cut it short: `git checkout dvc.lock`, then go on")
    if Path("mlflow.db").exists():
        from stages.lib import tracking

        with tracking.turn():
            was = tracking.follow(Path.cwd())
        if was:
            print(f"This folder was at {was}; MLflow's runs and models are found here now.")


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
                print(f"{lock} was cut short, as by a full disk: removed")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
