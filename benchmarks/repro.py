"""Time `dvc repro` on the sample in a fresh clone, then with nothing changed: python -m benchmarks.repro."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMITS = {"first run": 600.0, "nothing changed": 5.0}  # seconds, on 2 cores


def main() -> None:
    """Clone, run twice, print seconds beside their limits; fail above them."""
    slow = False
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "faces"
        subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
        for what, limit in LIMITS.items():
            start = time.perf_counter()
            done = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=clone, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stdout + done.stderr)
            seconds = time.perf_counter() - start
            slow |= seconds > limit
            print(f"{what}: {seconds:.1f} s (limit {limit:.0f} s)", flush=True)
    if slow:
        sys.exit(1)


if __name__ == "__main__":
    main()
