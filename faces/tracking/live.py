"""A training's run while it goes on: params, machine and losses in MLflow from its first epoch."""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator

import mlflow
import psutil
from mlflow.tracking import MlflowClient

from faces.data import provenance
from faces.runtime import progress
from faces.tracking import origin, runs, store

PAUSE = 60.0  # seconds until an unreachable store is tried again


@contextlib.contextmanager
def training_run(
    dataset: str, variant: str, name: str, key: str, recipe: dict
) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Log a training to MLflow while it runs; yields log(epoch, metrics).

    `log` completes the run from files, so an unreachable store is no error here, and has short timeouts. A training
    that fails leaves its run marked as failed, with the error in a tag.
    """
    for limit, value in (("MAX_RETRIES", "2"), ("TIMEOUT", "10")):  # in this process, whose training waits meanwhile
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{limit}", value)
    experiment = provenance.store_name(dataset, provenance.read(dataset, variant))
    try:
        client, experiment_id = store.open_experiment(experiment)
        mark_killed(client, experiment_id)
        run_id = runs.find_or_create(client, experiment_id, name, key).info.run_id
        runs.add_params(client, run_id, runs.recipe_params(recipe))
        tags = origin.machine() | origin.commit_tags() | {"process": f"{platform.node()} {_process()}"}
        runs.add_tags(client, run_id, tags)
        mlflow.start_run(run_id=run_id, log_system_metrics=True)
    except store.UNREACHABLE as error:
        progress.say(f"MLflow cannot be reached, training continues without it: {str(error).splitlines()[0]}")
        yield lambda epoch, metrics: None
        return

    failed_at = -PAUSE

    def log(epoch: int, metrics: dict[str, float]) -> None:
        nonlocal failed_at
        if time.monotonic() - failed_at < PAUSE:
            return
        try:
            runs.add_curve(client, run_id, "curve", [{**metrics, "epoch": epoch}])
        except store.UNREACHABLE as error:
            failed_at = time.monotonic()
            progress.say(f"MLflow did not take epoch {epoch + 1}: {str(error).splitlines()[0]}")

    try:
        yield log
    except BaseException as error:
        with contextlib.suppress(*store.UNREACHABLE):
            mlflow.end_run("FAILED")
            client.set_tag(run_id, "error", f"{type(error).__name__}: {error}"[:5000])
        raise
    with contextlib.suppress(*store.UNREACHABLE):  # or without such a tag
        mlflow.end_run()
        client.delete_tag(run_id, "error")


def mark_killed(client: MlflowClient, experiment_id: str) -> None:
    """Set status KILLED for this machine's runs that have status RUNNING but no process."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING' and tags.stage = 'train'"):
        host, _, process = run.data.tags.get("process", "").partition(" ")
        if host == platform.node() and process and process not in (_process(int(process.split("@")[0])), _process()):
            client.set_tag(run.info.run_id, "error", "its process was killed")
            client.set_terminated(run.info.run_id, "KILLED")


def _process(pid: int | None = None) -> str:
    """PID@SECONDS (start time) of a process of this machine, by default this one; '' if there is none."""
    try:
        process = psutil.Process(pid)
        return f"{process.pid}@{process.create_time():.0f}" if process.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.NoSuchProcess:
        return ""
