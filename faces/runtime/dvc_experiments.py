"""Runs beside the tree: DVC experiments of commands that compare several, each kept under a name of its own."""

import subprocess
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dvc.api

from faces.runtime import progress


def run(name: str, settings: dict[str, object], targets: Iterable[str] = ()) -> None:
    """Run the pipeline, or its stages `targets`, as the DVC experiment `name`, with keys of params.yaml set.

    It takes the place of one of that name, and costs little where that had the same settings: DVC restores what is in
    its cache, which its option --force, that would also replace one, forbids. Raises SystemExit where it fails.
    """
    forget(name)
    if subprocess.run(_command(name, settings, targets), check=False).returncode:
        raise SystemExit(f"{name} failed; those before it are kept: run this again")


def run_all(runs: Mapping[str, tuple[dict[str, object], Iterable[str]]], at_once: int) -> None:
    """Run several, {name: (settings, targets)}, at most `at_once` at a time, each in a copy of the project of its own.

    What they say comes line by line, each line after the name. Where one fails the others go on; then SystemExit names
    it.
    """
    with ThreadPoolExecutor(at_once) as pool:
        ended = list(pool.map(lambda name: _run_aside(name, *runs[name]), runs))
    failed = [name for name, code in zip(runs, ended, strict=True) if code]
    if failed:
        raise SystemExit(f"{', '.join(failed)} failed; what the others came to is kept: run this again")


_START = threading.Lock()


def _run_aside(name: str, settings: dict[str, object], targets: Iterable[str]) -> int:
    """Run one of several, and return its exit status; DVC can set up one at a time."""
    with _START:
        forget(name)
        running = subprocess.Popen(
            _command(name, settings, targets), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in running.stdout:
            progress.say(f"{name}: {line.rstrip()}")
            if line.startswith(("Running stage", "Stage ", "'")):
                break
    for line in running.stdout:
        progress.say(f"{name}: {line.rstrip()}")
    return running.wait()


def _command(name: str, settings: dict[str, object], targets: Iterable[str]) -> list[str]:
    words = [word for key, value in settings.items() for word in ("-S", f"{key}={value}")]
    return ["dvc", "exp", "run", "--temp", "--name", name, *words, *targets]


def forget(name: str) -> None:
    """Remove the DVC experiment `name`, if there is one; what it made stays in DVC's cache."""
    if _commits(name):
        subprocess.run(["dvc", "exp", "remove", "--quiet", name], check=False)


def read(name: str, path: Path | str) -> str:
    """Text of a file that git or DVC keeps, as the DVC experiment `name` left it."""
    return dvc.api.read(str(path), rev=commit(name))


def commit(name: str) -> str:
    """Commit of the DVC experiment `name`, the latest of several. Raises SystemExit where there is none."""
    found = _commits(name)
    if not found:
        raise SystemExit(f"there is no DVC experiment {name}")
    return found[-1]


def _commits(name: str) -> list[str]:
    listed = _git("for-each-ref", "--sort=creatordate", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    return [line.split()[0] for line in listed if line.endswith("/" + name)]


def _git(*words: str) -> str:
    return subprocess.run(("git", *words), capture_output=True, text=True, check=True).stdout
