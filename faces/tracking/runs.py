"""MLflow runs: found by fingerprint, completed from files, read and listed."""

import contextlib
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from faces.evaluation import gains
from faces.params import renamed
from faces.tracking import origin, store

MOST_RUNS = 50_000  # that MLflow returns at once


def find_or_create(client: MlflowClient, experiment_id: str, name: str, key: str, kind: str = "train") -> Run:
    """Return the run of a fingerprint, created if there is none.

    The name of a training ends with six digits of its fingerprint, which tell the trainings of one model apart. It
    begins with its DVC experiment, since lists cut the end of long names. Later DVC experiments with the same training
    are added to the tag `dvc_experiments`.
    """
    experiment = os.environ.get("DVC_EXP_NAME", "")
    suffix = key[:6] if kind == "train" else ""
    with store.lock():
        run = find(client, experiment_id, key, kind)
        if run is None:
            tags = {"fingerprint": key, "stage": kind, **({"dvc_experiments": experiment} if experiment else {})}
            return client.create_run(experiment_id, run_name=f"{experiment} {name} {suffix}".strip(), tags=tags)
        known = run.data.tags.get("dvc_experiments", "").split()
        if experiment and experiment not in known:
            client.set_tag(run.info.run_id, "dvc_experiments", " ".join([*known, experiment]))
        return run


def find(client: MlflowClient, experiment_id: str, key: str, kind: str = "train") -> Run | None:
    """The run of a fingerprint; None if there is none."""
    query = f"tags.fingerprint = '{key}' and tags.stage = '{kind}'"
    return next(iter(client.search_runs([experiment_id], query, max_results=1)), None)


def add_params(client: MlflowClient, run_id: str, values: dict[str, Any]) -> None:
    """Log the params that the run does not have yet."""
    known = client.get_run(run_id).data.params
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in values.items() if key not in known])


def add_tags(client: MlflowClient, run_id: str, values: dict[str, Any]) -> None:
    """Set tags; those that the training itself set (commit, machine) stay."""
    known = client.get_run(run_id).data.tags
    keep = [key for key in (*origin.machine(), "git_commit", "git_dirty") if key in known]
    client.log_batch(run_id, tags=[RunTag(k, str(v)) for k, v in values.items() if k not in keep])


def add_metrics(client: MlflowClient, run_id: str, values: dict[str, float]) -> None:
    """Log final metrics that are new or whose latest value differs."""
    known = client.get_run(run_id).data.metrics
    new = [Metric(k, v, _now(), 0) for k, v in values.items() if v == v and known.get(k) != v]
    client.log_batch(run_id, metrics=new)


def add_curve(client: MlflowClient, run_id: str, prefix: str, history: list[dict[str, float]]) -> None:
    """Log the epochs of a history, under PREFIX/NAME, that the run does not have yet."""
    new: list[Metric] = []
    for name in sorted({name for row in history for name in row if name != "epoch"}):
        logged = {metric.step for metric in client.get_metric_history(run_id, f"{prefix}/{name}")}
        values = {int(row["epoch"]): float(row.get(name, "nan")) for row in history}
        new += [
            Metric(f"{prefix}/{name}", value, _now(), epoch)
            for epoch, value in values.items()
            if value == value and epoch not in logged
        ]
    client.log_batch(run_id, metrics=new)


def timings(client: MlflowClient, experiment_id: str, key: str) -> tuple[str, list[float]]:
    """Machine of the training with a fingerprint, and the times (s, Unix) at which its epochs were logged, in order.

    '' and [] if there is no such run.
    """
    run = find(client, experiment_id, key)
    if run is None:
        return "", []
    history = sorted(client.get_metric_history(run.info.run_id, "curve/loss"), key=lambda metric: metric.step)
    return run.data.tags.get("machine", ""), [metric.timestamp / 1000 for metric in history]


def add_trials(client: MlflowClient, parent: Run, name: str, trials: list[dict], confidence: float) -> None:
    """Log each trial of a search as a nested run, once; confidence: of the intervals of what they gain."""
    for trial, gain in zip(trials, gains.of_trials(trials, confidence), strict=True):
        key = f"{parent.data.tags['fingerprint']}-{trial['trial']}"
        label = f"{name} {'defaults' if trial['trial'] == 0 else 'trial ' + str(trial['trial'])}"
        run_id = find_or_create(client, parent.info.experiment_id, label, key, "tune").info.run_id
        add_tags(client, run_id, {"mlflow.parentRunId": parent.info.run_id, "model": name})
        add_params(client, run_id, trial["values"])
        limits = {f"val/score_{key}": value for key, value in gain.items()}
        add_metrics(client, run_id, {"val/score": trial["score"], **limits})
        add_curve(client, run_id, "curve", trial["history"])
        client.set_terminated(run_id, "FINISHED")


def add_datasets(client: MlflowClient, run: Run, faces: pd.DataFrame, digest: str, name: str) -> None:
    """Log the faces of each part as the run's datasets, with the digest of the split."""
    if run.inputs and run.inputs.dataset_inputs:
        return
    with mlflow.start_run(run_id=run.info.run_id, log_system_metrics=False):
        for part, rows in faces.groupby("part"):
            source = f"data/splits/{name}.csv"
            with warnings.catch_warnings():  # a path matches several kinds of source
                warnings.filterwarnings("ignore", "The specified dataset source can be interpreted")
                data = mlflow.data.from_pandas(rows, source=source, name=f"{name}-{part}", digest=digest[:16])  # type: ignore[attr-defined]
            mlflow.log_input(data, context=str(part))


def newest(client: MlflowClient, limit: int = 200) -> pd.DataFrame:
    """The newest runs that stages made, except trials of searches, with their test metrics.

    Columns: experiment, experiment_id, run_id, run, kind, status, started (UTC), source, then one for each metric.
    """
    names = {experiment.experiment_id: experiment.name for experiment in client.search_experiments()}
    order = ["attributes.start_time DESC"]
    return pd.DataFrame(
        {
            "experiment": names[run.info.experiment_id],
            "experiment_id": run.info.experiment_id,
            "run_id": run.info.run_id,
            "run": run.info.run_name,
            "kind": run.data.tags.get("stage", ""),
            "status": run.info.status,
            "started": pd.Timestamp(run.info.start_time, unit="ms").round("s"),
            "source": run.data.tags.get("source_kind", ""),
            **scores_on_test(run),
        }
        for run in client.search_runs([*names], "tags.stage != 'tune'", max_results=limit, order_by=order)
    )


def scores_on_test(run: Run) -> dict[str, float]:
    """Test metrics of a run of any version, by their present names."""
    metrics = {renamed.metric(name): value for name, value in run.data.metrics.items()}
    return {name: value for name, value in metrics.items() if name.startswith("test/")}


def count_test_evaluations(client: MlflowClient, run: Run) -> int:
    """Number of trainings with test scores on the split of a run, which its digest identifies."""
    query = f"tags.stage = 'train' and tags.split = '{run.data.tags.get('split', '')}'"
    trained = client.search_runs([run.info.experiment_id], query, max_results=MOST_RUNS)
    return sum(bool(scores_on_test(other)) for other in trained)


def artifact(client: MlflowClient, run: Run, path: str) -> str:
    """Text of an artifact of a run; '' if it is missing."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(MlflowException, OSError):
        return Path(client.download_artifacts(run.info.run_id, path, folder)).read_text(errors="surrogateescape")
    return ""


def recipe_params(recipe: dict) -> dict[str, Any]:
    """Params of a training's run: its recipe, flattened, without the budget's options of other networks."""
    params = flatten(recipe)
    own = f"budget.options.{params.get('model.network')}."
    return {key: value for key, value in params.items() if key.startswith(own) or not key.startswith("budget.options.")}


def flatten(values: dict, prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts: {'train': {'seed': 1}} -> {'train.seed': 1}."""
    flat = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat.update(flatten(value, name + ".") if isinstance(value, dict) else {name: value})
    return flat


def _now() -> int:
    return int(time.time() * 1000)
