"""The whole pipeline on a small sample, in clones of the project; minutes long."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
import yaml

from tests.conftest import ROOT

pytestmark = pytest.mark.slow
# Places whose edits train no model that was trained before; and, added to faces/, a network and a dataset.
NEVER_TRAIN = (
    *(
        "app/*.py",
        "commands/*.py",
        "docs/*.md",
        "stages/report.py",
        "stages/gate.py",
        "stages/log.py",
        "requirements.txt",
    ),
    *("faces/reporting/*.py", "faces/tracking/*.py", "faces/gate/*.py", "faces/runtime/*.py", "faces/params/schema.py"),
    *("faces/data/fetching.py", "faces/data/sample/*.py", "faces/images/detection.py", "faces/data/datasets/*.py"),
    *("faces/evaluation/metrics.py", "faces/audit/label_issues.py", "faces/scores.py"),
)
ADDED = ("faces/networks/new.py", "faces/data/datasets/new.py")
ALWAYS_TRAIN = ("faces/training/losses.py", "faces/networks/residual.py", "faces/images/preprocessing.py")
SMALL = {r"  faces: \d+": "  faces: 200", r"    epochs: \d+": "    epochs: 1", r"    trials: \d+": "    trials: 0"}


def dvc(folder, *words):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def clone(folder, trials=0):
    """A clone with a small sample and budget."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    path = folder / "params.yaml"
    text = path.read_text()
    for old, new in SMALL.items():
        text, count = re.subn(old, new.replace("trials: 0", f"trials: {trials}"), text)
        assert count
    path.write_text(text)
    return folder


def edit(folder, *patterns):
    """Append a comment to files."""
    for path in (path for pattern in patterns for path in folder.glob(pattern)):
        path.write_text(path.read_text() + "\n# edited\n")


def stages_run(output):
    return {name.split("@")[0] for name in re.findall(r"Running stage '(.*?)'", output)}


def runs(folder):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    result = {}
    for experiment in client.search_experiments(filter_string="name LIKE 'faces-%'"):
        result[experiment.name] = sorted(run.info.run_name for run in client.search_runs([experiment.experiment_id]))
    return result


def test_two_clean_runs_end_alike_and_what_follows_runs_no_more_than_it_must(tmp_path):
    one, two = clone(tmp_path / "one"), clone(tmp_path / "two")
    for folder in (one, two):
        dvc(folder, "repro")
    assert (one / "dvc.lock").read_bytes() == (two / "dvc.lock").read_bytes()
    reports = [p.relative_to(one) for p in (one / "reports").rglob("*") if p.is_file()]
    assert all((one / p).read_bytes() == (two / p).read_bytes() for p in reports)
    assert runs(one) == runs(two)
    names = [name.split()[0] for name in runs(one)["faces-utkface-sample"]]  # before the fingerprint
    assert names == ["utkface-cropped", "utkface-full"]

    assert "Running stage" not in dvc(one, "repro")

    (one / "params.yaml").write_text(
        (one / "params.yaml").read_text().replace("split:\n  seed: 0", "split:\n  seed: 9")
    )
    ran = stages_run(dvc(one, "repro", "--dry"))
    assert "split" in ran
    assert not ran & {"download", "parse_labels", "convert_mat", "pack", "clean"}

    subprocess.run(["rm", "-rf", "mlruns", "mlflow.db"], cwd=two, check=True)
    assert stages_run(dvc(two, "repro")) == {"log", "register"}
    assert runs(two) == runs(one)


def test_what_is_edited_decides_what_is_trained_again(tmp_path):
    folder = clone(tmp_path / "faces")
    dvc(folder, "repro")
    edit(folder, "requirements.txt")
    assert "Running stage" not in dvc(folder, "repro")
    for path in ADDED:
        (folder / path).write_text('"""New."""\n')
    edit(folder, *NEVER_TRAIN)
    ran = stages_run(dvc(folder, "repro"))
    assert {"download", "pack", "split", "evaluate", "audit", "gate", "report", "log"} <= ran
    assert not ran & {"no_teachers", "tune", "train", "calibrate"}
    for path in ALWAYS_TRAIN:
        before = (folder / path).read_text()
        edit(folder, path)
        stale = dvc(folder, "status", "train@utkface-cropped", "tune@utkface-cropped")
        assert {"train@utkface-cropped:", "tune@utkface-cropped:"} <= set(stale.split()), path
        (folder / path).write_text(before)


def test_every_stage_of_dvc_yaml_is_in_the_lock_of_a_run():
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    stages = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    assert {name.split("@")[0] for name in lock} == stages - {"read_table", "teachers"}  # of which the sample has none


def test_the_notebook_runs_and_shows_what_it_promises(tmp_path, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)  # Streamlit, which other tests import, sets it
    folder = clone(tmp_path / "faces")
    book = nbformat.read(folder / "notebooks/tour.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)  # a face that it shows must not be committed
    place = {"metadata": {"path": str(folder / "notebooks")}}
    nbclient.NotebookClient(book, timeout=1800, kernel_name="python3", resources=place).execute()
    shown = [out for cell in book.cells for out in cell.get("outputs", [])]
    assert sum("image/png" in out.get("data", {}) for out in shown) >= 7
    message = " ".join(out.get("text", "") + str(out.get("data", {}).get("text/html", "")) for out in shown)
    assert all(words in message for words in ("copy of another", "utkface-full", "champion", "female"))
    assert (folder / "reports/index.md").exists()
