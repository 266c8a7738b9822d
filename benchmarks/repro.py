"""Time `dvc repro` on the sample in a fresh clone, then with nothing changed: python -m benchmarks.repro."""

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMITS = {"first run": 200.0, "nothing changed": 2.5}  # seconds, on 2 cores


def main() -> None:
    """Clone, run twice, print seconds and their limits; fail above them."""
    slow = False
    print(f"{processor()}, load {os.getloadavg()[0]:.2f}")
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
            print(f"{what}: {seconds:.1f} s (at most {limit:g} s)", flush=True)
    if slow:
        sys.exit(1)


def processor() -> str:
    """The name of this machine's processor, and its cores."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return f"{named[1] if named else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
