"""What a group shares, on the real servers: PostgreSQL and S3 under MLflow, DVC's remote, archives in a bucket."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from commands import services
from faces.runtime import ports
from tests.runtime.test_ray_cluster import digests
from tests.stages.test_pipeline import clone, dvc

pytestmark = pytest.mark.slow
MODEL = "utkface-cropped"


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """The services, in a folder of their own, and this process' environment as they print it."""
    pytest.importorskip("dvc_s3", reason="`make setup CLUSTER=1` installs it")
    folder = tmp_path / "services"
    folder.mkdir()
    folder.chmod(0o755)
    for parent in folder.parents:  # PostgreSQL, which is another user, goes through them
        with contextlib.suppress(PermissionError):
            parent.chmod(parent.stat().st_mode | 0o111)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = subprocess.Popen(
        [sys.executable, "-m", "commands.services", "--folder", str(folder), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = ""
    try:
        while "dvc remote modify" not in output:
            line = running.stdout.readline()
            assert line, output
            output += line
        for name, value in re.findall(r"^export (\w+)=(\S+)", output, re.MULTILINE):
            monkeypatch.setenv(name, value)
        yield output
    finally:
        running.terminate()
        running.wait(timeout=60)
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not any(str(folder) in " ".join(command) for command in commands)


def test_a_group_shares_runs_models_and_outputs(shared, tmp_path, monkeypatch):
    import mlflow

    dvc_remotes = [line.split() for line in shared.splitlines() if line.startswith("dvc remote")]
    one = clone(tmp_path / "one")
    for _, *words in dvc_remotes:
        dvc(one, *words)
    dvc(one, "repro")
    assert not (one / "mlflow.db").exists()
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    version = client.get_model_version_by_alias("faces-utkface-sample", "challenger")
    run = client.get_run(version.run_id)
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    assert "test/age_mae" in run.data.metrics
    dvc(one, "push")

    two = clone(tmp_path / "two")
    (two / "dvc.lock").write_bytes((one / "dvc.lock").read_bytes())
    for _, *words in dvc_remotes:
        dvc(two, *words)
    dvc(two, "pull")
    assert digests(two / f"data/models/{MODEL}") == digests(one / f"data/models/{MODEL}")
    assert "Running stage 'train" not in dvc(two, "repro", f"train@{MODEL}")

    import fsspec

    raw = one / "data/raw/utkface/cropped"
    (archive,) = json.loads((raw / "provenance.json").read_text())["archives"]
    kept = tmp_path / "archives"  # outside, since DVC removes what a stage is to make again
    kept.mkdir()
    shutil.copy(raw / archive["name"], kept)
    files = fsspec.filesystem("s3")
    files.put(str(kept / archive["name"]), f"{services.BUCKET}/archives/{archive['name']}")
    for folder, address in ((two, f"s3://{services.BUCKET}/archives"), (one, str(kept))):
        params = folder / "params.yaml"
        text = (
            params.read_text().replace("source: sample", f"source: {address}").replace("budget: sample", "budget: real")
        )
        params.write_text(text.replace("in_place: false", f"in_place: {str(folder == two).lower()}"))
        dvc(folder, "repro", "pack@utkface-cropped")
    assert [path.name for path in (two / "data/raw/utkface/cropped").iterdir()] == ["provenance.json"]
    assert digests(two / "data/packs/utkface/cropped") == digests(one / "data/packs/utkface/cropped")


def test_a_tracking_server_that_goes_away_loses_nothing(tmp_path, monkeypatch):
    import mlflow

    folder = clone(tmp_path / "faces")
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(re.sub(r"^    epochs: 1", "    epochs: 12", text, flags=re.MULTILINE))
    dvc(folder, "repro", f"tune@{MODEL}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    with server(tmp_path, port):
        training = begun(folder, f"train@{MODEL}")
        output = ""
        while "epoch 2 of 12" not in output:
            line = training.stdout.readline()
            assert line, output
            output += line
    output += training.communicate()[0]
    assert training.returncode == 0, output
    assert "MLflow did not take epoch" in output
    logging = begun(folder, f"log@{MODEL}")
    time.sleep(60)
    with server(tmp_path, port):
        output, _ = logging.communicate(timeout=600)
        assert logging.returncode == 0, output
        client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
        experiments = client.search_experiments(filter_string="name LIKE 'faces-%'")
        (run,) = client.search_runs([experiment.experiment_id for experiment in experiments], "tags.stage = 'train'")
        history = client.get_metric_history(run.info.run_id, "curve/loss")
        assert sorted(metric.step for metric in history) == list(range(12))
        assert run.info.status == "FINISHED"
        lock = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
        assert f"log@{MODEL}" in lock


def begun(folder, target):
    """`dvc repro` of a target, under way."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", target],
        cwd=folder,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextlib.contextmanager
def server(folder, port):
    """MLflow's own, on SQLite."""
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "kept")]
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    with (folder / "server.log").open("w") as log:
        started = subprocess.Popen([*command, *store], env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + 60
        while not ports.accepts(port):
            assert time.monotonic() < end, (folder / "server.log").read_text()
            time.sleep(0.2)
        yield
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
