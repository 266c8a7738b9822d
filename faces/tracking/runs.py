"""Runs of MLflow: found by fingerprint, shown while a training goes on, completed from files, and listed."""

import contextlib
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import psutil
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from faces.data import provenance
from faces.runtime import progress
from faces.tracking import origin, store

PAUSE = 60.0  # seconds in which a store that could not be reached is not asked again


def find_or_create(client: MlflowClient, experiment_id: str, name: str, key: str, kind: str = "train") -> Run:
    """Return the run of a fingerprint, made where there is none.

    Its name follows that of the DVC experiment that it is part of, since lists cut long names at their end; one that
    came to the same training later is noted in the tag `dvc_experiments`.
    """
    wanted = f"tags.fingerprint = '{key}' and tags.stage = '{kind}'"
    experiment = os.environ.get("DVC_EXP_NAME", "")
    with store.turn():
        found = client.search_runs([experiment_id], wanted, max_results=1)
        if not found:
            tags = {"fingerprint": key, "stage": kind, **({"dvc_experiments": experiment} if experiment else {})}
            label = f"{experiment} {name}".strip()
            return client.create_run(experiment_id, run_name=label, tags=tags)
        known = found[0].data.tags.get("dvc_experiments", "").split()
        if experiment and experiment not in known:
            client.set_tag(found[0].info.run_id, "dvc_experiments", " ".join([*known, experiment]))
        return found[0]


def close_dead(client: MlflowClient, experiment_id: str) -> None:
    """Mark as killed the runs of this machine that are called running, but whose process is gone."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING' and tags.stage = 'train'"):
        host, _, process = run.data.tags.get("process", "").partition(" ")
        if host == platform.node() and process and process not in (_process(int(process.split("@")[0])), _process()):
            client.set_tag(run.info.run_id, "error", "its process was killed")
            client.set_terminated(run.info.run_id, "KILLED")


def _process(pid: int | None = None) -> str:
    """PID@SECONDS of a process of this machine, ours unless named; empty where there is none."""
    try:
        found = psutil.Process(pid)
        return f"{found.pid}@{found.create_time():.0f}" if found.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.NoSuchProcess:
        return ""


@contextlib.contextmanager
def live(dataset: str, variant: str, name: str, key: str, recipe: dict) -> Iterator[Callable[[int, dict], None]]:
    """Show a training in MLflow while it runs; yields log(epoch, numbers).

    A courtesy: `log` completes the run from files, so a store that cannot be reached is no error, and is hardly waited
    for. A training that fails leaves its run marked as failed, with the error in a tag.
    """
    for limit, value in (("MAX_RETRIES", "2"), ("TIMEOUT", "10")):  # of this process, whose work waits meanwhile
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{limit}", value)
    noted = provenance.read(dataset, variant)
    try:
        client, experiment_id = store.open_experiment(provenance.store_name(dataset, noted))
        close_dead(client, experiment_id)
        run_id = find_or_create(client, experiment_id, name, key).info.run_id
        add_params(client, run_id, flat(recipe))
        process = {"process": f"{platform.node()} {_process()}"}
        add_tags(client, run_id, {**origin.machine(), **origin.commit_tags(), **process})
        mlflow.start_run(run_id=run_id, log_system_metrics=True)
    except store.UNREACHABLE as error:
        progress.say(f"MLflow cannot be reached, training goes on without: {str(error).splitlines()[0]}")
        yield lambda epoch, numbers: None
        return

    away = -PAUSE

    def log(epoch: int, numbers: dict[str, float]) -> None:
        nonlocal away
        if time.monotonic() - away < PAUSE:
            return
        try:
            add_curve(client, run_id, "curve", [{**numbers, "epoch": epoch}])
        except store.UNREACHABLE as error:
            away = time.monotonic()
            progress.say(f"MLflow did not take epoch {epoch + 1}: {str(error).splitlines()[0]}")

    try:
        yield log
    except BaseException as error:
        with contextlib.suppress(*store.UNREACHABLE):
            mlflow.end_run("FAILED")
        with contextlib.suppress(*store.UNREACHABLE):
            client.set_tag(run_id, "error", f"{type(error).__name__}: {error}"[:5000])
        raise
    with contextlib.suppress(*store.UNREACHABLE):
        mlflow.end_run()
        if "error" in client.get_run(run_id).data.tags:
            client.delete_tag(run_id, "error")


def add_params(client: MlflowClient, run_id: str, values: dict[str, Any]) -> None:
    """Log params that the run does not have yet."""
    known = client.get_run(run_id).data.params
    fresh = [Param(key, str(value)) for key, value in values.items() if key not in known]
    for start in range(0, len(fresh), 100):
        client.log_batch(run_id, params=fresh[start : start + 100])


def add_tags(client: MlflowClient, run_id: str, values: dict[str, Any]) -> None:
    """Set tags; what is a training's own (commit, machine) stays as the training wrote it."""
    known = client.get_run(run_id).data.tags
    keep = [key for key in (*origin.machine(), "git_commit", "git_dirty") if key in known]
    client.log_batch(run_id, tags=[RunTag(k, str(v)) for k, v in values.items() if k not in keep])


def add_metrics(client: MlflowClient, run_id: str, values: dict[str, float]) -> None:
    """Log final metrics whose latest value differs."""
    known = client.get_run(run_id).data.metrics
    fresh = [Metric(k, v, _now(), 0) for k, v in values.items() if v == v and known.get(k) != v]
    for start in range(0, len(fresh), 500):
        client.log_batch(run_id, metrics=fresh[start : start + 500])


def add_curve(client: MlflowClient, run_id: str, prefix: str, history: list[dict[str, float]]) -> None:
    """Log the epochs of a history, under PREFIX/NAME, that the run does not have yet."""
    names = sorted({name for row in history for name in row if name != "epoch"})
    fresh = []
    for name in names:
        have = {metric.step for metric in client.get_metric_history(run_id, f"{prefix}/{name}")}
        for row in history:
            if name in row and row[name] == row[name] and int(row["epoch"]) not in have:
                fresh.append(Metric(f"{prefix}/{name}", float(row[name]), _now(), int(row["epoch"])))
    for start in range(0, len(fresh), 500):
        client.log_batch(run_id, metrics=fresh[start : start + 500])


def timings(client: MlflowClient, experiment_id: str, key: str) -> tuple[str, list[float]]:
    """The machine that the training of a fingerprint ran on, and when its epochs were logged, in seconds, in order.

    '' and none where there is no such run.
    """
    wanted = f"tags.fingerprint = '{key}' and tags.stage = 'train'"
    found = client.search_runs([experiment_id], wanted, max_results=1)
    history = client.get_metric_history(found[0].info.run_id, "curve/loss") if found else []
    ends = [each.timestamp / 1000 for each in sorted(history, key=lambda each: each.step)]
    return found[0].data.tags.get("machine", "") if found else "", ends


def add_trials(client: MlflowClient, parent: Run, name: str, trials: list[dict]) -> None:
    """Make each trial of a search a nested run, once."""
    for trial in trials:
        key = f"{parent.data.tags['fingerprint']}-{trial['trial']}"
        label = f"{name} {'defaults' if trial['trial'] == 0 else 'trial ' + str(trial['trial'])}"
        run_id = find_or_create(client, parent.info.experiment_id, label, key, "tune").info.run_id
        add_tags(client, run_id, {"mlflow.parentRunId": parent.info.run_id, "model": name})
        add_params(client, run_id, trial["values"])
        add_metrics(client, run_id, {"val_score": trial["score"]})
        add_curve(client, run_id, "curve", trial["history"])
        client.set_terminated(run_id, "FINISHED")


def add_datasets(client: MlflowClient, run: Run, faces: pd.DataFrame, digest: str, name: str) -> None:
    """Note the faces of each part as the run's datasets, with the digest of the split."""
    if run.inputs and run.inputs.dataset_inputs:
        return
    with mlflow.start_run(run_id=run.info.run_id, log_system_metrics=False):
        for part, rows in faces.groupby("part"):
            source = f"data/splits/{name}.csv"
            with warnings.catch_warnings():  # that a path could be of several kinds of source
                warnings.filterwarnings("ignore", "The specified dataset source can be interpreted")
                data = mlflow.data.from_pandas(rows, source=source, name=f"{name}-{part}", digest=digest[:16])
            mlflow.log_input(data, context=str(part))


def newest(client: MlflowClient, most: int = 200) -> pd.DataFrame:
    """The newest runs that stages made, searches' trials left out: what they are, and their test metrics.

    Columns: experiment, experiment_id, run_id, run, kind, status, started (UTC), source, then a column a metric.
    """
    rows = []
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], "tags.stage != 'tune'", max_results=most):
            rows.append(
                {
                    "experiment": experiment.name,
                    "experiment_id": experiment.experiment_id,
                    "run_id": run.info.run_id,
                    "run": run.info.run_name,
                    "kind": run.data.tags.get("stage", ""),
                    "status": run.info.status,
                    "started": pd.Timestamp(run.info.start_time, unit="ms").round("s"),
                    "source": run.data.tags.get("source_kind", ""),
                    **{name: value for name, value in run.data.metrics.items() if name.startswith("test_")},
                }
            )
    return pd.DataFrame(rows).sort_values("started", ascending=False)[:most] if rows else pd.DataFrame()


def looks_at_test(client: MlflowClient, run: Run) -> int:
    """How many trainings were scored on the test faces of a run's split: the runs that share its digest."""
    split = run.data.tags.get("split", "")
    wanted = f"tags.stage = 'train' and tags.split = '{split}'"
    found, token = 0, None
    while True:
        page = client.search_runs([run.info.experiment_id], wanted, page_token=token)
        found += sum(any(key.startswith("test_") for key in each.data.metrics) for each in page)
        token = page.token
        if not token:
            return found


def artifact(client: MlflowClient, run: Run, path: str) -> str:
    """Text of an artifact of a run; '' where it has none."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(MlflowException, OSError):
        return Path(client.download_artifacts(run.info.run_id, path, folder)).read_text(errors="surrogateescape")
    return ""


def flat(values: dict, prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts: {'train': {'seed': 1}} -> {'train.seed': 1}."""
    found = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        found.update(flat(value, name + ".") if isinstance(value, dict) else {name: value})
    return found


def _now() -> int:
    return int(time.time() * 1000)
