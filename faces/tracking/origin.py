"""What a result depends on besides data and params: commit, uncommitted changes, machine and packages."""

import importlib.metadata
import os
import platform
import subprocess
import tempfile
from pathlib import Path

from mlflow.tracking import MlflowClient

DIFF, CLEAN = "uncommitted.diff", "# the tree was as committed\n"
SOURCE = (".py", ".yaml", ".yml", ".toml", ".txt", ".in", ".md", ".sh")  # suffixes of code and settings
LARGE = 1 << 20  # bytes


def machine() -> dict[str, str]:
    """Tags of the machine and the main packages that a result may depend on.

    oneDNN chooses its kernels by the processor's flags and caches, and other kernels give other last digits.
    """
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        + (_cpuinfo("model name") or platform.processor()),
        "processor_flags": _cpuinfo("flags"),
        "processor_caches": _caches(),
        "python": platform.python_version(),
        "tensorflow": importlib.metadata.version("tensorflow"),
        "keras": importlib.metadata.version("keras"),
    }


def _cpuinfo(key: str) -> str:
    """A value of the first processor in Linux's list of them; '' on other systems."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _caches() -> str:
    """Levels and sizes of the first processor's caches, as Linux tells them: `1 32K, 1 32K, 2 1024K, 3 32768K`."""
    folders = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    return ", ".join(f"{(f / 'level').read_text().strip()} {(f / 'size').read_text().strip()}" for f in folders)


def packages() -> dict[str, str]:
    """Version of every installed package, by name."""
    versions = {dist.metadata["Name"].lower(): dist.version for dist in importlib.metadata.distributions()}
    return dict(sorted(versions.items()))


def commit_tags() -> dict[str, str]:
    """Tags of the commit, and of whether the tree differs from it; dvc.lock and reports/ do not count."""
    commit = _git("rev-parse", "--verify", "--quiet", "HEAD").strip()
    return {"git_commit": commit, "git_dirty": str(bool(dirty_diff())).lower()}


def dirty_diff() -> str:
    """Changes against the commit as a patch for `git apply`, with source files that git does not track.

    dvc.lock and reports/, which the pipeline writes, are left out; other untracked files, and those above LARGE bytes,
    are only named. Bytes that are not UTF-8 are kept as surrogates.
    """
    included = ("--", ".", ":!dvc.lock", ":!reports")
    untracked = _git("ls-files", "--others", "--exclude-standard", "-z", *included).split("\0")
    paths = [Path(name) for name in untracked if name]
    source = [path for path in paths if path.suffix in SOURCE and path.stat().st_size <= LARGE]
    notes = [f"# {path} is not tracked, and not kept here\n" for path in paths if path not in source]
    patches = [_git("diff", "--binary", "--no-index", "/dev/null", str(path)) for path in source]
    return "".join([*notes, _git("diff", "--binary", "HEAD", *included), *patches])


def log_origin(client: MlflowClient, run_id: str, folder: str, files: dict[str, str]) -> None:
    """Log texts {name: text} and the uncommitted changes to a folder of a run's artifacts."""
    with tempfile.TemporaryDirectory() as temporary:
        for name, text in {**files, DIFF: dirty_diff() or CLEAN}.items():
            Path(temporary, name).write_bytes(text.encode(errors="surrogateescape"))
        client.log_artifacts(run_id, temporary, folder)


def _git(*arguments: str) -> str:
    done = subprocess.run(("git", *arguments), capture_output=True, check=False)
    return done.stdout.decode(errors="surrogateescape")
