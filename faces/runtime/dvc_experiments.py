"""DVC experiments: runs of the pipeline with other params, each kept under its own name, beside the working tree."""

import subprocess
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dvc.api

from faces.runtime import dvc_internals, progress


def run(name: str, settings: dict[str, object], targets: Iterable[str] = ()) -> None:
    """Run the pipeline, or its stages `targets`, as the DVC experiment `name`, with keys of params.yaml set.

    It replaces an experiment of that name, and is fast where that had the same settings: DVC restores outputs from its
    cache. DVC's option --force would replace one too, but runs everything again. Raises SystemExit where it fails.
    """
    remove(name)
    if subprocess.run(_command(name, settings, targets), check=False).returncode:
        raise SystemExit(f"{name} failed; the experiments before it are kept: run this again")


def run_all(runs: Mapping[str, tuple[dict[str, object], Iterable[str]]], at_once: int) -> None:
    """Run several, {name: (settings, targets)}, at most `at_once` at a time, each in its own copy of the project.

    Their output is shown line by line, after the name. Where one fails, the others go on; then SystemExit names it.
    """
    set_up = threading.Lock()  # of one experiment at a time

    def run_prefixed(name: str) -> int:
        with set_up:
            remove(name)
            command = _command(name, *runs[name])
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for line in process.stdout or ():
                progress.say(f"{name}: {line.rstrip()}")
                if dvc_internals.is_set_up(line):
                    break
        for line in process.stdout or ():
            progress.say(f"{name}: {line.rstrip()}")
        return process.wait()

    with ThreadPoolExecutor(at_once) as pool:
        codes = list(pool.map(run_prefixed, runs))
    failed = [name for name, code in zip(runs, codes, strict=True) if code]
    if failed:
        raise SystemExit(f"{', '.join(failed)} failed; the results of the others are kept: run this again")


def _command(name: str, settings: dict[str, object], targets: Iterable[str]) -> list[str]:
    words = [word for key, value in settings.items() for word in ("-S", f"{key}={value}")]
    return ["dvc", "exp", "run", "--temp", "--name", name, *words, *targets]


def remove(name: str) -> None:
    """Remove the DVC experiment `name`, if there is one; its outputs stay in DVC's cache."""
    subprocess.run(["dvc", "exp", "remove", "--quiet", name], check=False)


def read(name: str, path: Path | str) -> str:
    """Text of a file that git or DVC tracks, in the DVC experiment `name`."""
    return dvc.api.read(str(path), rev=name)


def commit(name: str) -> str:
    """The revision by which DVC finds the DVC experiment `name`. Raises SystemExit where there is none."""
    if name not in names():
        raise SystemExit(f"there is no DVC experiment {name}")
    return name


def names() -> list[str]:
    """Names of all DVC experiments here."""
    command = ["dvc", "exp", "list", "--all-commits", "--names-only"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
