"""An MLflow store of the version before 1.0.0 is used here: its champion is found, predicts, serves and is compared.

That version is commit f40630e. Its models carry its package `stages`, with `stages.lib`, which this version does not
have. It runs its sample in its own environment.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from commands import reproduce
from faces.inference.predictor import Predictor
from faces.params import loading
from faces.tracking import model_choice, registry, runs, store
from tests import servers
from tests.conftest import ROOT
from tests.stages.test_pipeline import dvc

pytestmark = pytest.mark.slow
COMMIT = "f40630e"
MODEL, REGISTERED = "utkface-cropped", "faces-utkface-sample"
ARCHIVE = "data/raw/utkface/cropped/UTKFace.tar.gz"
CARRIED = ("mlflow.db", "mlruns", "params.yaml", "data/raw")
LOAD = """
import json, mlflow, pandas, pathlib, sys
model = mlflow.pyfunc.load_model(sys.argv[1])
images = pandas.DataFrame({"image": [path.read_bytes() for path in sorted(pathlib.Path("chips").iterdir())]})
print(model.predict(images, params={"cropped": True}).to_json(orient="records"))
"""


@dataclass
class Upgraded:
    """A clone of the present version with the old store, and what the old version predicted of the images in chips/."""

    folder: Path
    cropped: pd.DataFrame
    detected: pd.DataFrame


def run(folder, *command):
    """Standard output of a command, in a folder's own environment or, where it has none, in that of the tests."""
    programs = folder / ".venv/bin"
    path = f"{programs if programs.exists() else Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    removed = ("MAKEFLAGS", "MAKELEVEL", "MLFLOW_TRACKING_URI", "PYTHONPATH")
    environment = {key: value for key, value in os.environ.items() if key not in removed} | {"PATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def predict(folder, *options, model=REGISTERED):
    """Rows that commands.predict prints for chips/; its exit status is 1 where an image has no face."""
    command = ["python", "-m", "commands.predict", "--model", model, "--format", "jsonl", *options, "chips"]
    rows = run(folder, "bash", "-c", shlex.join(command) + " || [ $? = 1 ]")
    return pd.DataFrame(json.loads(row) for row in rows.splitlines())


def reduce_params(path):
    """One model of 200 faces and one epoch, which may become champion however bad it is."""
    editor = loading.yaml_editor()
    p = editor.load(path)
    p["sample"]["faces"], p["datasets"], p["convert_mat"]["datasets"] = 200, ["utkface"], []
    for section in ("variants", "models"):
        p[section] = {MODEL: p[section][MODEL]}
    p["budgets"]["sample"].update(epochs=1, trials=0)
    p["evaluate"]["resamples"], p["gate"]["floors"] = 1000, {}
    editor.dump(p, path)


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory):
    """An upgrade: a clone with the store, params and archives of a run of the old version, which is then removed."""
    if subprocess.run(["git", "cat-file", "-e", COMMIT], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip(f"commit {COMMIT} is not in the history: a shallow clone, perhaps")
    folder = tmp_path_factory.mktemp("upgrade") / "faces"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    with tempfile.TemporaryDirectory() as temporary:  # its environment is 2 GB
        old = Path(temporary).resolve() / "faces"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(old)], check=True)
        run(old, "git", "checkout", "--quiet", COMMIT)
        run(old, "make", "setup")
        reduce_params(old / "params.yaml")
        run(old, "dvc", "repro", "register")
        write_chips(old / ARCHIVE, old / "chips")
        upgraded = Upgraded(folder, predict(old, "--cropped"), predict(old))
        for name in (*CARRIED, "chips"):
            (folder / name).parent.mkdir(exist_ok=True)
            (shutil.copytree if (old / name).is_dir() else shutil.copy)(old / name, folder / name)
    run(folder, "python", "-m", "commands.check", "--migrate")
    assert f"This folder was moved from {old};" in run(folder, "python", "-m", "commands.check")
    return upgraded


def write_chips(archive, folder, count=6):
    """Write the first images of an archive to a folder."""
    folder.mkdir()
    with tarfile.open(archive) as members:
        images = [member for member in members if member.name.endswith(".jpg")][:count]
        for number, member in enumerate(images):
            (folder / f"{number}.jpg").write_bytes(members.extractfile(member).read())


@pytest.fixture
def client(upgraded, monkeypatch):
    """The store, with the clone as the working folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(upgraded.folder)
    return store.open_client()


def assert_equal(rows, expected):
    """Whether rows have the predictions of others, whose names of images and models may differ."""
    predicted = [name for name in expected if name not in ("file", "model")]
    pd.testing.assert_frame_equal(rows[predicted], expected[predicted], check_dtype=False)


def test_the_champion_is_named_with_its_origin(upgraded, client):
    champion = registry.version_by_alias(client, REGISTERED, "champion")
    assert (str(champion.version), champion.tags["model"]) == ("1", MODEL)
    assert model_choice.registered()[0] == [f"{REGISTERED}/1"]
    origin = run(upgraded.folder, "python", "-m", "commands.lineage")
    assert origin.startswith(f"# {REGISTERED}, version 1\n")
    assert f"- commit: {run(upgraded.folder, 'git', 'rev-parse', COMMIT)}" in origin
    assert "- uncommitted: params.yaml" in origin
    assert f"- chosen by: score {float(champion.tags['val']):.4f} on validation" in origin
    assert "used by 1 training that" in origin  # its metrics have old names
    assert "UTKFace.tar.gz: " in origin
    assert "none -> version 1; the first, score" in origin
    assert "  progressive_sizes: []" in origin  # today's name


def test_metrics_of_its_run_have_todays_names(client):
    (row,) = runs.newest(client).to_dict("records")
    (run_,) = client.search_runs([row["experiment_id"]], "tags.stage = 'train'")
    assert row["test/age_mae"] == run_.data.metrics["test_mae"]
    assert row["test/sex_accuracy"] == run_.data.metrics["test_sex_accuracy"]


def test_the_champion_predicts_what_it_did(upgraded, client):
    chips = [path.read_bytes() for path in sorted(Path("chips").iterdir())]
    predictor = Predictor(model_choice.find(REGISTERED).path)
    assert_equal(predictor.predict(chips).assign(face=1), upgraded.cropped)
    assert_equal(predict(upgraded.folder, "--cropped"), upgraded.cropped)
    detected = predict(upgraded.folder)
    assert detected["age"].notna().any()
    assert_equal(detected, upgraded.detected)


def test_mlflow_loads_the_model(upgraded):
    """In a process in the project's folder, whose package `stages` has no `lib`."""
    store_uri = f"sqlite:///{upgraded.folder}/mlflow.db"
    code = f"import mlflow; mlflow.set_tracking_uri({store_uri!r}){LOAD}"
    rows = json.loads(run(upgraded.folder, "python", "-c", code, f"models:/{REGISTERED}@champion"))
    assert_equal(pd.DataFrame(rows), upgraded.cropped)


def test_the_champion_serves(upgraded, tmp_path):
    """As docs/use.md shows."""
    rows = []
    with servers.served_model(upgraded.folder, "--model", REGISTERED) as port:
        for number in range(len(upgraded.cropped)):
            shutil.copy(upgraded.folder / f"chips/{number}.jpg", tmp_path / "photo.jpg")
            rows += servers.ask_as_documented(tmp_path, port)
    rows = pd.DataFrame(rows)
    assert_equal(rows.assign(error=rows["error"].mask(rows["error"] == "")), upgraded.detected)


def test_reproducing_it_is_left_to_its_version(upgraded, client, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reproduce", f"models:/{REGISTERED}@champion"])
    monkeypatch.setattr(sys, "executable", shutil.which("true"))  # in place of the run, which takes minutes
    with pytest.raises(SystemExit) as status:
        reproduce.main()
    assert status.value.code == 1
    message = f"different: its commit writes no data/evaluated/{MODEL}; use `make reproduce` of that commit"
    assert message in capsys.readouterr().out


def test_a_new_run_is_compared_with_the_champion(upgraded, client):
    """On the same archive, so that both are judged on the same faces."""
    before = registry.version_by_alias(client, REGISTERED, "champion")
    dvc(upgraded.folder, "commit", "--force", f"download@{MODEL}")
    output = " ".join(dvc(upgraded.folder, "repro", "register").split())
    new = registry.version_by_alias(client, REGISTERED, "challenger")
    assert (str(new.version), new.tags["split"]) == ("2", before.tags["split"])
    old_value, new_value = float(before.tags["val"]), float(new.tags["val"])
    if new_value > old_value:
        assert f"champion now: score {new_value:.4f} on validation against {old_value:.4f};" in output
    else:
        assert f"the champion stays version 1 ({before.tags['val']})" in output
    assert runs.newest(client)["test/age_mae"].notna().tolist() == [True, True]
    for version in ("1", "2"):
        origin = run(upgraded.folder, "python", "-m", "commands.lineage", f"models:/{REGISTERED}/{version}")
        assert "used by 2 trainings that" in origin
    assert f"models:/{REGISTERED}@champion is version" in run(upgraded.folder, "python", "-m", "commands.summary")
    assert_equal(predict(upgraded.folder, "--cropped", model=f"models:/{REGISTERED}/1"), upgraded.cropped)
