"""MLflow's store: where it is, how it is opened, and what a moved folder needs."""

import contextlib
import os
import sqlite3
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import filelock
import mlflow
import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from faces.runtime import running

KIND = {"mlflow.experimentKind": "custom_model_development"}  # the UI then opens on runs, not on traces
PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)  # columns of MLflow's database that hold paths of artifacts
UNREACHABLE = (MlflowException, requests.RequestException)


def open_experiment(experiment: str) -> tuple[MlflowClient, str]:
    """Open the store and an experiment in it, made where it is new; returns the client and the experiment's id.

    The store is mlflow.db with artifacts under mlruns/, where a bare `mlflow ui` looks, unless MLFLOW_TRACKING_URI
    names another; it is the project's own, also where DVC runs an experiment in a copy of the project.
    """
    with turn():
        client = open_client()
        found = client.get_experiment_by_name(experiment)
        if found is not None:
            return client, found.experiment_id
        local = mlflow.get_tracking_uri().startswith("sqlite")
        place = (running.root() / "mlruns" / experiment).as_uri() if local else None
        return client, client.create_experiment(experiment, artifact_location=place, tags=KIND)


def open_client() -> MlflowClient:
    """Open the store as `store` does, without an experiment."""
    root = running.root()
    relocate(root)
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root}/mlflow.db")
    return MlflowClient()


def relocate(root: Path) -> str:
    """Where the project's folder was moved or copied, tell its MLflow store; returns where it was, or ''.

    MLflow writes whole paths into its database, so a store that is moved would not find its files.
    """
    was, database = "", root / "mlflow.db"
    if not database.exists():
        return was
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as open_, open_:
        if not open_.execute("SELECT 1 FROM sqlite_master WHERE name = 'model_versions'").fetchone():
            return was  # MLflow has not made its tables yet
        known = open_.execute("SELECT name, artifact_location FROM experiments").fetchall()
        for old in {place.removesuffix(end) for name, place in known if place.endswith(end := f"/mlruns/{name}")}:
            if old == root.as_uri():
                continue
            was = old
            for table, column in PATHS:
                open_.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (root.as_uri(), len(old) + 1, len(old) + 1, old + "/"),
                )
    return urllib.request.url2pathname(urllib.parse.urlsplit(was).path)


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Let one process at a time do what MLflow's store cannot do for several at once."""
    folder = running.root() / "mlruns"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        yield
