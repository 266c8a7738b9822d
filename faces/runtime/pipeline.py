"""The pipeline in this folder: whether it has run as published results need it, and a run of its first stages."""

import subprocess

from faces import params
from faces.params import loading, recipes

MAY_CHANGE = ("params.yaml", "dvc.lock", "reports/", "pretrained/", "README.md")  # between the commit and the run


def require_finished(recipe: str, last: str | None = None) -> None:
    """Raise SystemExit where params.yaml is not a recipe's, stages are left to run, or code is not as committed.

    last: the stage up to which all must have run; every stage unless given.
    """
    if not recipes.same(loading.parse(params.PATH.read_text()), recipes.expected(recipe)):
        raise SystemExit(
            f"{params.PATH} is not the committed one with {recipes.FOLDER}/{recipe}.yaml: type `make recipe "
            f"RECIPE={recipe}`, then `dvc repro`"
        )
    stages = [] if last is None else ["--with-deps", last]
    if subprocess.run(["dvc", "status", "--quiet", *stages], check=False).returncode:
        raise SystemExit(f"the pipeline is not up to date: type `{' '.join(['dvc repro', *stages[1:]])}` first")
    status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    changed = [line[3:] for line in status.splitlines() if not line[3:].startswith(MAY_CHANGE)]
    if changed:
        raise SystemExit(f"{changed[0]} is not as committed: a published result names the commit that reproduces it")


def run_to_split(dataset: str) -> None:
    """Run the stages up to a dataset's split. Raises SystemExit where one fails."""
    if subprocess.run(["dvc", "repro", f"split@{dataset}"], check=False).returncode:
        raise SystemExit("the pipeline failed before the end of the split")
