"""MLflow's store: where it is, how it is opened, and how its paths are updated when the project is moved."""

import contextlib
import os
import queue
import sqlite3
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import filelock
import mlflow
import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from faces.runtime import running

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # in the UI: of the kind that trains models
PATH_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)  # columns of MLflow's database that hold paths of artifacts
UNREACHABLE = (MlflowException, requests.RequestException, SQLAlchemyError)
PATIENCE = 5.0  # seconds until a store that is only asked which model answers counts as unreachable
Answer = TypeVar("Answer")


class StoreError(Exception):
    """A store that does not answer, or refuses; the message names it and why."""


def open_experiment(experiment: str) -> tuple[MlflowClient, str]:
    """Open the store and an experiment in it, created if new; returns the client and the experiment's id.

    The store is mlflow.db with artifacts under mlruns/, the default of `mlflow ui`, unless MLFLOW_TRACKING_URI names
    another; it is that of the project, even if DVC runs an experiment in a copy of the project.
    """
    with lock():
        client = open_client()
        existing = client.get_experiment_by_name(experiment)
        if existing is not None:
            return client, existing.experiment_id
        local = mlflow.get_tracking_uri().startswith("sqlite")
        location = (running.root() / "mlruns" / experiment).as_uri() if local else None
        return client, client.create_experiment(experiment, artifact_location=location, tags=EXPERIMENT_TAGS)


def open_client() -> MlflowClient:
    """Open the store as open_experiment does, without an experiment."""
    root = running.root()
    relocate(root)
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if not given and not (root / "mlflow.db").exists():
        _create(root)
    mlflow.set_tracking_uri(given or f"sqlite:///{_database(root)}")
    if not given:  # MLflow sets it, and a process in a copy of the project would take it for the user's
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    return MlflowClient()


def _create(root: Path) -> None:
    """Make the database under another name, and move it: a store whose making was killed could not be used again."""

    def write(part: Path) -> None:
        part.unlink(missing_ok=True)
        MlflowClient(f"sqlite:///{_database(root)}.part").search_experiments(max_results=1)

    running.replace(root / "mlflow.db", write)


def _database(root: Path) -> str:
    """Path of the store's database in a URI: relative where the project's has characters that a URI reads otherwise."""
    path = str(root / "mlflow.db")
    return os.path.relpath(path) if {"%", "?"} & set(path) else path


def ask(question: Callable[[], Answer]) -> Answer:
    """Answer of a store to a question. Raises StoreError if there is none within PATIENCE, or an error.

    MLflow itself tries a server for minutes, and a database for 100 s.
    """
    result: queue.Queue = queue.Queue()

    def run() -> None:
        try:
            result.put((question(), None))
        except BaseException as error:  # noqa: BLE001 - MLflow, requests and SQLAlchemy raise errors of their own
            result.put((None, error))

    where = os.environ.get("MLFLOW_TRACKING_URI") or "mlflow.db"
    path = where.removeprefix("sqlite:///")
    if path != where and not Path(urllib.parse.unquote(path.partition("?")[0])).exists():
        raise StoreError(f"MLflow's store, {where}, is not there")  # MLflow would make one
    threading.Thread(target=run, daemon=True).start()
    try:
        answer, error = result.get(timeout=PATIENCE)
    except queue.Empty:
        raise StoreError(f"MLflow's store, {where}, does not answer") from None
    if isinstance(error, SystemExit):
        raise error
    if error is not None:
        raise StoreError(f"MLflow's store, {where}, cannot be used: {str(error).splitlines()[0]}") from error
    return answer


def require_server() -> None:
    """End the command in one line where the store is a server that does not answer, which MLflow tries for minutes."""
    if os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http"):
        try:
            ask(lambda: open_client().search_experiments(max_results=1))
        except StoreError as error:
            raise SystemExit(str(error)) from None


def ui_pages() -> dict[str, str]:
    """Pages of the MLflow UI, below its address: the charts of each experiment's runs, by its name, and the models."""
    kept = [row for row in open_client().search_experiments() if EXPERIMENT_TAGS.items() <= row.tags.items()]
    charts = "#/experiments/{}/runs?workflowType=machine_learning&compareRunsMode=CHART"
    return {name: charts.format(key) for name, key in sorted((row.name, row.experiment_id) for row in kept)} | {
        "registered models": "#/models"
    }


def relocate(root: Path) -> str:
    """Update the paths in the MLflow store if the project's folder was moved; returns its former path, or ''.

    MLflow writes absolute paths into its database, so a moved store would not find its files.
    """
    former, database = "", root / "mlflow.db"
    if not database.exists():
        return former
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'model_versions'").fetchone():
            return former  # MLflow has not created its tables yet
        experiments = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
        roots = {uri.removesuffix(end) for name, uri in experiments if uri.endswith(end := f"/mlruns/{name}")}
        for former in roots - {root.as_uri()}:
            for table, column in PATH_COLUMNS:
                change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
                connection.execute(change, (f"{former}/", f"{root.as_uri()}/"))
    return urllib.request.url2pathname(urllib.parse.urlsplit(former).path)


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Run the block in one process at a time, for actions that MLflow's store does not support concurrently."""
    folder = running.root() / "mlruns"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        yield
