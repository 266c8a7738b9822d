"""MLflow: a run is created once, can be completed again, and is never duplicated."""

import contextlib
import json
import os
import platform
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.tracking import MlflowClient

from commands import lineage as lineage_command
from commands import promote, reproduce, ui
from faces.data import provenance
from faces.inference.predictor import ModelError
from faces.tracking import candidates, live, model_choice, models, registry, runs, store
from stages import register
from tests.conftest import ROOT

RECIPE = {
    "model": {"network": "small"},
    "budget": {"epochs": 1, "options": {"small": {"width": 8}, "other": {"depth": 3}}},
}


@pytest.fixture
def mlflow_store(tracked):
    return store.open_experiment("faces-test")


def test_a_run_is_completed_not_duplicated(mlflow_store):
    client, experiment = mlflow_store
    history = [{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.0}]
    trials = [{"trial": 0, "values": {}, "score": 0.1, "history": history}]
    trials += [{**trials[0], "trial": 1, "score": 0.2, "difference": 0.1, "standard_error": 0.01}]
    for _ in range(2):
        run = runs.find_or_create(client, experiment, "m", "abc")
        runs.add_params(client, run.info.run_id, {"a": 1})
        runs.add_metrics(client, run.info.run_id, {"test_mae": 4.0, "nothing": float("nan")})
        runs.add_curve(client, run.info.run_id, "curve", history)
        runs.add_trials(client, run, "m", trials, 0.95)
    created = client.search_runs([experiment])
    assert len(created) == 3
    better = next(r for r in created if r.data.metrics.get("val/score") == 0.2).data.metrics
    assert better["val/score_difference"] == 0.1
    assert 0.08 < better["val/score_low"] < 0.0805 and 0.1195 < better["val/score_high"] < 0.12
    run = next(r for r in created if r.data.tags["stage"] == "train")
    assert run.data.params == {"a": "1"}
    assert run.data.metrics == {"test_mae": 4.0, "curve/loss": 1.0}
    assert len(client.get_metric_history(run.info.run_id, "curve/loss")) == 2
    assert len(client.get_metric_history(run.info.run_id, "test_mae")) == 1


def test_the_store_opens_twice(mlflow_store):
    assert store.open_experiment("faces-test")[1] == mlflow_store[1]


def test_charts_are_of_the_experiments_of_the_project(mlflow_store):
    client, experiment = mlflow_store
    client.create_experiment("somebody's")
    address = f"#/experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART"
    assert store.ui_pages() == {"faces-test": address, "registered models": "#/models"}


def test_names_and_warnings():
    record = {"kind": "real", "simulated": False, "archives": [{"name": "a", "official": False, "sha256": "ab" * 32}]}
    assert provenance.store_name("wiki", record) == "faces-wiki"
    assert "differs from the published" in provenance.warnings(record)[0]
    assert provenance.store_name("wiki", record | {"simulated": True}) == "faces-wiki-simulated"
    assert provenance.store_name("wiki", record | {"kind": "sample"}) == "faces-wiki-sample"


def version(val, split="s", number="2", **tags):
    tags = {"split": split, "score": "score", "val": str(val), "fingerprint": f"f{number}", **tags}
    return ModelVersion("faces-x", number, 0, tags=[ModelVersionTag(*tag) for tag in tags.items()])


def test_a_champion_is_replaced_only_by_a_better_one_on_the_same_faces():
    champion = version(0.5, number="1")
    assert register.verdict_on(None, version(0.1), "m") == ""
    assert register.verdict_on(champion, version(0.6), "m") == ""
    assert "stays version 1" in register.verdict_on(champion, version(0.5), "m")
    assert "commands.promote m" in register.verdict_on(champion, version(0.9, "other"), "m")
    assert register.verdict_on(champion, version(0.5, fingerprint="f1"), "m") == ""  # calibrated anew
    assert "stays version 1" in register.verdict_on(champion, version(0.4, fingerprint="f1"), "m")
    assert "stays" in register.verdict_on(version("nan", "", "1", score=""), version(0.9), "m")  # the shipped one


def test_a_model_that_is_no_better_than_the_dummy_baseline_is_never_champion():
    assert candidates.objection(version(0.9)) == ""
    useless = version(0.9, **{candidates.USELESS: "sex ethnicity"})
    assert candidates.objection(useless) == "it is no better than the dummy baseline on sex, ethnicity"


def test_the_best_on_validation_is_chosen():
    assert register.choose({"a": 5.0, "b": 4.0, "c": None}, "age_mae") == "b"
    assert register.choose({"a": None}, "age_mae") is None


@pytest.fixture
def raw(mlflow_store, tmp_path, monkeypatch):
    """The project folder of `store`, as the working folder, with provenance.json as download writes it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/raw/utkface/cropped"
    folder.mkdir(parents=True)
    record = {"kind": "sample", "simulated": False, "licence": "", "archives": []}
    (folder / "provenance.json").write_text(json.dumps(record))
    return store.open_experiment("faces-utkface-sample")


def all_runs(mlflow_store):
    client, experiment = mlflow_store
    return client.search_runs([experiment])


def test_a_failed_training_is_marked_with_its_error_until_it_succeeds(raw):
    with pytest.raises(RuntimeError), live.training_run("utkface", "cropped", "m", "key", RECIPE) as log:
        log(0, {"loss": 1.0})
        raise RuntimeError("out of memory")
    (run,) = all_runs(raw)
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "RuntimeError: out of memory")
    with live.training_run("utkface", "cropped", "m", "key", RECIPE) as log:
        log(0, {"loss": 1.0})
        log(1, {"loss": 0.5})
    (run,) = all_runs(raw)
    assert (run.info.run_name, run.info.status) == ("m key", "FINISHED")
    assert "error" not in run.data.tags
    assert run.data.params == {"model.network": "small", "budget.epochs": "1", "budget.options.small.width": "8"}
    assert len(raw[0].get_metric_history(run.info.run_id, "curve/loss")) == 2


def test_a_killed_training_is_marked_by_the_next(raw):
    client, experiment = raw
    killed = runs.find_or_create(client, experiment, "m", "gone")
    client.set_tag(killed.info.run_id, "process", f"{platform.node()} 999999999@1")
    other = runs.find_or_create(client, experiment, "m", "elsewhere")
    client.set_tag(other.info.run_id, "process", "another-machine 999999999@1")
    with live.training_run("utkface", "cropped", "m", "here", RECIPE):
        live.mark_killed(client, experiment)
        status = {run.data.tags["fingerprint"]: run.info.status for run in all_runs(raw)}
    assert status == {"gone": "KILLED", "elsewhere": "RUNNING", "here": "RUNNING"}


def test_an_unreachable_server_does_not_stop_a_training(raw, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with live.training_run("utkface", "cropped", "m", "key", RECIPE) as log:
        log(0, {"loss": 1.0})
    assert "MLflow cannot be reached, training continues without it" in capsys.readouterr().err


def test_runs_are_named_by_experiment_and_shared_runs_are_not_duplicated(mlflow_store, monkeypatch):
    client, experiment = mlflow_store
    for name, key in (("brave-fox", "a"), ("calm-owl", "b"), ("calm-owl", "a")):
        monkeypatch.setenv("DVC_EXP_NAME", name)
        runs.find_or_create(client, experiment, "m", key)
    by_key = {run.data.tags["fingerprint"]: run for run in client.search_runs([experiment])}
    assert {key: run.info.run_name for key, run in by_key.items()} == {"a": "brave-fox m a", "b": "calm-owl m b"}
    assert by_key["a"].data.tags["dvc_experiments"] == "brave-fox calm-owl"


def test_several_processes_open_a_new_store_at_once(tmp_path):
    code = "from faces.tracking import runs, store; c, e = store.open_experiment('x'); "
    code += "runs.find_or_create(c, e, 'm', 'same')"
    env = {**os.environ, "DVC_ROOT": str(tmp_path), "PYTHONPATH": str(ROOT)}
    env.pop("MLFLOW_TRACKING_URI", None)  # MLflow sets it in the processes that it is used in
    started = [subprocess.Popen([sys.executable, "-c", code], env=env, cwd=tmp_path) for _ in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert len(client.search_runs([client.get_experiment_by_name("x").experiment_id])) == 1


def test_model_files_are_checked_only_on_this_machine(tmp_path):
    place = tmp_path / "a folder"
    assert not models.files_exist(place.as_uri())
    place.mkdir()
    (place / "MLmodel").touch()
    assert models.files_exist(place.as_uri())
    assert models.files_exist(str(place))
    assert models.files_exist("mlflow-artifacts:/1/models/m-0/artifacts")
    assert models.files_exist("s3://bucket/m-0")


def columns_with(database, text):
    """(table, column) of each column of a database with a value that contains a text."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: pd.read_sql(f'SELECT * FROM "{name}"', connection).astype(str) for name in tables}
    cells = ((name, column, table[column]) for name, table in rows.items() for column in table)
    return {(name, column) for name, column, values in cells if values.str.contains(text).any()}


def test_a_project_that_is_moved_finds_its_models(tmp_path, monkeypatch):
    """MLflow has no public way to move a store: this fails if its tables keep paths in other columns."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before, after = tmp_path / "a folder", tmp_path / "another"
    monkeypatch.setenv("DVC_ROOT", str(before))
    before.mkdir()
    client, experiment = store.open_experiment("faces-x")
    run = runs.find_or_create(client, experiment, "m", "key")
    client.log_text(run.info.run_id, "kept", "note.txt")
    (tmp_path / "files").mkdir()
    (tmp_path / "files/model.onnx").write_text("a model")
    model = client.create_logged_model(experiment, source_run_id=run.info.run_id)
    client.log_model_artifacts(model.model_id, str(tmp_path / "files"))
    registry.register(client, "faces-x", run, model, {})
    assert columns_with(before / "mlflow.db", "a%20folder") == set(store.PATH_COLUMNS)
    before.rename(after)
    monkeypatch.setenv("DVC_ROOT", str(after))
    assert store.relocate(after) == str(before)
    assert store.relocate(after) == ""
    client, experiment = store.open_experiment("faces-x")
    again = runs.find_or_create(client, experiment, "m", "key")
    assert again.info.run_id == run.info.run_id
    assert mlflow.artifacts.load_text(again.info.artifact_uri + "/note.txt") == "kept"
    assert client.get_experiment(experiment).artifact_location == (after / "mlruns/faces-x").as_uri()
    assert Path(mlflow.artifacts.download_artifacts("models:/faces-x/1"), "model.onnx").read_text() == "a model"
    assert columns_with(after / "mlflow.db", "a%20folder") == set()


def test_a_model_that_is_registered_again_stays_one_version(mlflow_store):
    client, experiment = mlflow_store
    run = runs.find_or_create(client, experiment, "m", "key")
    one, two = (client.create_logged_model(experiment, source_run_id=run.info.run_id) for _ in range(2))
    assert str(registry.register(client, "faces-test", run, one, {"val": "0.1"}).version) == "1"
    assert registry.register(client, "faces-test", run, one, {"val": "0.2"}).tags == {"val": "0.2"}
    assert client.get_model_version("faces-test", "1").tags["val"] == "0.2"
    assert str(registry.register(client, "faces-test", run, two, {"val": "0.2"}).version) == "2"


def test_only_what_does_not_exist_is_none(tracked, monkeypatch):
    client = store.open_client()
    assert registry.version_by_alias(client, "faces-none", "champion") is None
    client.create_registered_model("faces-some")
    assert registry.version_by_alias(client, "faces-some", "champion") is None

    def refuse(name):
        raise MlflowException("403 Forbidden", PERMISSION_DENIED)

    monkeypatch.setattr(client, "get_registered_model", refuse)
    with pytest.raises(MlflowException, match="403"):
        registry.version_by_alias(client, "faces-some", "champion")


@contextlib.contextmanager
def listening(answer):
    """A server on this machine; answer(connection) is called with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=answer, args=[connection], daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def silent(connection):
    time.sleep(60)


def refuses(connection):
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    connection.close()


def another_site(connection):
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")
    connection.close()


@pytest.mark.parametrize("answer", [silent, refuses, another_site])
def test_a_server_that_is_silent_or_refuses_is_told_within_seconds(tmp_path, monkeypatch, answer):
    monkeypatch.setattr(store, "PATIENCE", 2.0)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with listening(answer) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        started = time.monotonic()
        with pytest.raises(ModelError, match=rf"MLflow's store, {address}, .*pretrained/utkface predicts"):
            model_choice.find()
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9", "postgresql://127.0.0.1:9/x", "file:./old", "sqlite:////proc/no/x.db"]
)
def test_a_store_that_cannot_be_used_is_told_within_seconds(tmp_path, monkeypatch, address):
    monkeypatch.setattr(store, "PATIENCE", 2.0)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(ModelError, match=r"so the champion is unknown; --model pretrained/utkface predicts"):
        model_choice.find()


def test_a_database_that_is_only_asked_is_not_made(tmp_path, monkeypatch):
    """Its champion would be unknown, and the shipped model would predict in silence."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mispelt.db")
    for name in (None, "faces-utkface"):
        with pytest.raises(ModelError, match=r"mispelt.db, is not there.*pretrained/utkface predicts"):
            model_choice.find(name)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("command", "words"),
    [(promote, ["utkface-cropped", "why"]), (lineage_command, []), (reproduce, ["models:/a/1"]), (ui, [])],
)
def test_commands_do_not_wait_for_a_server_that_is_away(project, monkeypatch, command, words):
    monkeypatch.setattr(store, "PATIENCE", 2.0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(sys, "argv", ["command", *words])
    started = time.monotonic()
    with pytest.raises(SystemExit, match=r"^MLflow's store, http://127.0.0.1:9, does not answer$"):
        command.main()
    assert time.monotonic() - started < 4


def test_a_store_whose_making_was_killed_is_made_anew(tmp_path):
    removed = ("MLFLOW_TRACKING_URI", "DVC_ROOT")
    environment = {key: value for key, value in os.environ.items() if key not in removed} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from faces.tracking import store; print(store.open_experiment('faces-test')[1])"]
    part = tmp_path / "mlflow.db.part"
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        while not (part.exists() and part.stat().st_size):  # some tables
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert not (tmp_path / "mlflow.db").exists()
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "mlflow.db").exists()
    assert not part.exists()


LOGGED = """
from faces.tracking import runs, store
client, experiment = store.open_experiment("faces-test")
client.log_artifact(runs.find_or_create(client, experiment, "m", "abc").info.run_id, "file.txt")
assert runs.find(store.open_client(), experiment, "abc")
"""


@pytest.mark.parametrize("name", ["a%2Fb", "what?", "100%", "a#b", "é b"])
def test_a_store_is_in_the_project_whatever_its_folder_is_called(tmp_path, name):
    """In a process of its own, since MLflow keeps the stores that it opened by their addresses."""
    root = tmp_path / name
    root.mkdir()
    (root / "file.txt").write_text("here")
    removed = ("MLFLOW_TRACKING_URI", "DVC_ROOT")
    environment = {key: value for key, value in os.environ.items() if key not in removed} | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", LOGGED], cwd=root, env=environment, check=True)
    assert sorted(path.name for path in root.iterdir()) == ["file.txt", "mlflow.db", "mlruns"]
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(list((root / "mlruns").rglob("file.txt"))) == 1
