"""Runs beside the tree: DVC experiments of commands that compare several, each kept under a name of its own."""

import subprocess
from collections.abc import Iterable
from pathlib import Path


def run(name: str, settings: dict[str, object], targets: Iterable[str] = ()) -> None:
    """Run the pipeline, or its stages `targets`, as the DVC experiment `name`, with keys of params.yaml set.

    It takes the place of one of that name, and costs little where that had the same settings: DVC restores what is in
    its cache, which its option --force, that would also replace one, forbids. Raises SystemExit where it fails.
    """
    if _commits(name):
        subprocess.run(["dvc", "exp", "remove", "--quiet", name], check=False)
    words = [word for key, value in settings.items() for word in ("-S", f"{key}={value}")]
    command = ["dvc", "exp", "run", "--temp", "--name", name, *words, *targets]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(f"{name} failed; those before it are kept: run this again")


def read(name: str, path: Path | str) -> str:
    """Text of a file that git tracks, as the DVC experiment `name` left it."""
    return _git("show", f"{commit(name)}:{path}")


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
