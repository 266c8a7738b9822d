"""What a result depends on besides data and params: commit, uncommitted changes, machine and packages."""

import os
import platform
import subprocess
import tempfile
from pathlib import Path

from mlflow.tracking import MlflowClient

DIFF, CLEAN = "uncommitted.diff", "# the tree was as committed\n"
SOURCE = (".py", ".yaml", ".yml", ".toml", ".txt", ".in", ".md", ".sh")  # suffixes of what code and settings stand in
LARGE = 1 << 20  # bytes


def machine() -> dict[str, str]:
    """What a result may depend on besides code and data."""
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "python": platform.python_version(),
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        return names[0] if names else platform.processor()
    return platform.processor()


def version(package: str) -> str:
    """Installed version of a package."""
    import importlib.metadata

    return importlib.metadata.version(package)


def commit_tags() -> dict[str, str]:
    """Commit and whether the tree differs from it; dvc.lock and reports/, which the pipeline writes, left out."""
    return {"git_commit": _git("rev-parse", "HEAD"), "git_dirty": str(bool(dirty_diff())).lower()}


def dirty_diff() -> str:
    """Changes against the commit as a patch that `git apply` takes; new source that git does not track is in it.

    dvc.lock and reports/, which the pipeline writes, are left out; other new files, and those above LARGE bytes, are
    named alone. Bytes that are no UTF-8 are kept as surrogates.
    """
    ours = ("--", ".", ":!dvc.lock", ":!reports")
    fresh = _git("ls-files", "--others", "--exclude-standard", "-z", *ours).split("\0")
    source, other = [], []
    for path in (Path(name) for name in fresh if name):
        (source if path.suffix in SOURCE and path.stat().st_size <= LARGE else other).append(path)
    notes = [f"# {path} is not tracked, and not kept here\n" for path in other]
    patches = [_patch("diff", "--binary", "HEAD", *ours)]
    patches += [_patch("diff", "--binary", "--no-index", "/dev/null", str(path)) for path in source]
    return "".join([*notes, *patches])


def _patch(*words: str) -> str:
    done = subprocess.run(("git", *words), capture_output=True, check=False)
    return done.stdout.decode(errors="surrogateescape")


def note_origin(client: MlflowClient, run_id: str, folder: str, files: dict[str, str]) -> None:
    """Write texts {name: text} and the uncommitted changes to a folder of a run's artifacts."""
    with tempfile.TemporaryDirectory() as place:
        for name, text in {**files, DIFF: dirty_diff() or CLEAN}.items():
            Path(place, name).write_bytes(text.encode(errors="surrogateescape"))
        client.log_artifacts(run_id, place, folder)


def _git(*words: str) -> str:
    done = subprocess.run(("git", *words), capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
