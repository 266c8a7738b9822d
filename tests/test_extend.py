"""docs/extend.md, followed to the letter in clones of the project, and run on small samples; minutes long.

The clones have a small sample and budget, one dataset and one model. /data of the page is a folder of the test.
"""

import copy
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import cohen_kappa_score

from faces.data.sample import drawing
from faces.params import loading
from tests.conftest import ROOT, encoded
from tests.stages.test_pipeline import clone, dvc
from tests.test_docs import slug, table

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/extend.md").read_text()
SECTIONS = dict(part.split("\n", 1) for part in PAGE.split("\n## ")[1:])
STEP = re.compile(r"^`(?P<file>\S+)`(?:, (?P<how>[^\n]+))?:\n\n```\w+\n(?P<block>.*?)^```$", re.MULTILINE | re.DOTALL)
MODEL = "utkface-cropped"  # the model that is there before


@dataclass(frozen=True)
class Step:
    """What the page says to do with one file."""

    file: str
    how: str | None  # None: create the file
    block: str

    def apply(self, folder, data):
        """Do it in a folder; data: stands for /data."""
        path, block = folder / self.file, self.block.replace("/data/", f"{data}/")
        if self.how is None:
            assert not path.exists(), path
            path.write_text(block)
        elif self.how.startswith("below the line "):
            line = self.how.removeprefix("below the line `").removesuffix("`")
            parts = path.read_text().split(f" {line}\n")
            assert len(parts) == 2, line
            path.write_text(f" {line}\n{block}".join(parts))
        else:
            assert self.how in ("change these keys", "replace these sections"), self.how
            edit_yaml(path, loading.yaml_editor().load(block), replace=self.how == "replace these sections")


def edit_yaml(path, values, replace=False):
    """Replace sections of a YAML file, or set the keys of nested mappings."""
    editor = loading.yaml_editor()
    content = editor.load(path)
    if replace:
        assert set(values) <= set(content)
        content.update(values)
    else:
        merge(content, values)
    editor.dump(content, path)


def merge(old, new):
    """Set the keys of nested mappings; other keys stay."""
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            merge(old[key], value)
        else:
            old[key] = value


def steps(section):
    """The steps of a section, in order."""
    result = [Step(*match.group("file", "how", "block")) for match in STEP.finditer(SECTIONS[section])]
    assert len(result) == SECTIONS[section].count("\n```\n") > 0, "a code block has no step above it"
    return result


def promised(section):
    """What the table at the top of the page says of a section: how many files it touches, and their names."""
    (cell,) = [cell for link, cell in table(PAGE, "you add") if f"](#{slug(section)})" in link]
    return int(cell.split(":")[0]), re.findall(r"`([^`]+)`", cell.split(";")[0])


def git(folder, *words):
    names = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def follow(section, folder, data):
    """Do the steps of a section, compare the files that they touch with the table of the page, and check."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "Before")
    for step in steps(section):
        step.apply(folder, data)
    touched = [line[3:] for line in git(folder, "status", "--porcelain", "--untracked-files=all").splitlines()]
    count, names = promised(section)
    assert len(touched) == count, touched
    assert set(names) <= set(touched)
    python(folder, "commands.check")


def python(folder, *words):
    """What a module of the project prints."""
    done = subprocess.run([sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def repro(folder):
    """Run the pipeline; names of the stages that ran."""
    return set(re.findall(r"Running stage '(\S+)'", dvc(folder, "repro")))


def stale(folder):
    """Names of the stages that DVC says have changed."""
    return set(re.findall(r"^(\S+):$", dvc(folder, "status"), re.MULTILINE))


def training_stages(stages):
    """Those of some stages that search for or train a model."""
    return {stage for stage in stages if re.match("(tune|train|teachers)@", stage)}


def scores(folder, model):
    """Scores of a model on the test faces of all groups, {target_score: value}."""
    rows = pd.read_csv(folder / "reports/models" / model / "scores.csv")
    rows = rows[(rows["part"] == "test") & rows["group"].isna()].dropna(subset="value")
    return dict(zip(rows["target"] + "_" + rows["score"], rows["value"], strict=True))


METRICS = """
import json, sys
from faces.tracking import store
client = store.open_client()
experiments = [row.experiment_id for row in client.search_experiments()]
query = f"tags.model = '{sys.argv[1]}' and tags.stage = 'train'"
newest = client.search_runs(experiments, query, order_by=["attributes.start_time DESC"])[0]
print(json.dumps(newest.data.metrics))
"""


def metrics(folder, model):
    """Metrics of a model's newest run in MLflow, {'test/age_mae': value}."""
    environment = {key: value for key, value in os.environ.items() if key not in ("MLFLOW_TRACKING_URI", "DVC_ROOT")}
    command = [sys.executable, "-c", METRICS, model]
    return json.loads(subprocess.check_output(command, cwd=folder, env=environment))


def card(folder, model):
    """Text of a model's card."""
    return (folder / f"reports/cards/models/{model}.md").read_text()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A clone with one dataset and one model of the sample, run through; tests work on copies of it."""
    folder = clone(tmp_path_factory.mktemp("extend") / "faces")
    path, editor = folder / "params.yaml", loading.yaml_editor()
    values = editor.load(path)
    values["datasets"] = ["utkface"]
    values["convert_mat"]["datasets"] = []
    values["gate"]["limits"] = {}
    values["budget"] = "small"
    values["budgets"]["small"] = copy.deepcopy(values["budgets"]["sample"])  # `sample` is refused for a table
    values["evaluate"] |= {"bootstrap_samples": 1000, "min_group_size": 5}
    for section in ("models", "variants"):
        values[section] = {MODEL: values[section][MODEL]}
    editor.dump(values, path)
    repro(folder)
    assert stale(folder) == set()
    return folder


@pytest.fixture
def project(prepared, tmp_path):
    return Path(shutil.copytree(prepared, tmp_path / "faces", symlinks=True))


@pytest.fixture(scope="module")
def mine(prepared, tmp_path_factory):
    """A copy of the clone that follows the section on tables, and the folder of its table."""
    place = tmp_path_factory.mktemp("mine")
    data = place / "data"
    (data / "mine/photos").mkdir(parents=True)
    people = drawing.people(200, 9)
    for number, image in enumerate(drawing.squares(200, 9, 60)):
        (data / f"mine/photos/{number}.jpg").write_bytes(encoded(image))
    rows = pd.DataFrame(
        {
            "file": [f"{number}.jpg" for number in range(200)],
            "age": [person.age for person in people],
            "gender": [person.sex[0].upper() for person in people],
            "person": [f"p{number}" for number in range(200)],
            "has_glasses": ["" if number % 10 == 0 else number % 2 for number in range(200)],
        }
    )
    rows.to_csv(data / "mine/labels.csv", index=False)
    folder = Path(shutil.copytree(prepared, place / "faces", symlinks=True))
    follow("A dataset that is a table", folder, data)
    repro(folder)
    return folder, data


def test_the_table_of_the_page_has_all_sections():
    assert {section for section in SECTIONS if promised(section)[0]} == set(SECTIONS)


def test_a_network(project, tmp_path):
    follow("A network", project, tmp_path)
    assert training_stages(stale(project)) == {"tune@utkface-small", "train@utkface-small"}
    assert training_stages(repro(project)) == {"tune@utkface-small", "train@utkface-small"}
    assert {"age_mae", "sex_accuracy", "ethnicity_accuracy"} <= set(scores(project, "utkface-small"))
    assert "A small network" in card(project, "utkface-small")
    assert {MODEL, "utkface-small"} <= set(python(project, "commands.summary").split())


def test_a_dataset_with_labels_in_its_file_names(project, tmp_path):
    archives = tmp_path / "archives"
    archives.mkdir()
    people, images = drawing.people(200, 5), drawing.squares(200, 5, 60)
    names = [f"{person.age}_{person.sex[0]}_{number:04}.jpg" for number, person in enumerate(people)]
    photos = dict(zip(names, map(encoded, images), strict=True))
    photos["who.jpg"] = photos["125_m_9999.jpg"] = encoded(images[0])
    with tarfile.open(archives / "portraits.tar.gz", "w:gz") as archive:
        for name, content in photos.items():
            entry = tarfile.TarInfo(f"portraits/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    follow("A dataset with labels in its file names", project, tmp_path)
    repro(project)
    records = pd.read_csv(project / "data/records/portraits.csv", dtype=str, keep_default_na=False)
    records = records.set_index("face_id")
    assert set(records.index) == {Path(name).stem for name in photos}
    assert set(records.index[records["reject"] != ""]) == {"who", "125_m_9999"}
    first = people[0]
    row = records.loc[f"{first.age}_{first.sex[0]}_0000"]
    assert (float(row["age"]), row["sex"], row.get("ethnicity", "")) == (first.age, first.sex, "")
    assert {"age_mae", "sex_accuracy"} <= set(scores(project, "portraits"))
    assert "Age and sex are what each person stated." in (project / "reports/cards/datasets/portraits.md").read_text()

    # "or a folder portraits"
    before = (project / "data/records/portraits.csv").read_bytes()
    (archives / "portraits.tar.gz").unlink()
    (archives / "portraits").mkdir()
    for name, content in photos.items():
        (archives / "portraits" / name).write_bytes(content)
    dvc(project, "repro", "--force", "--single-item", "download@portraits-cropped", "parse_labels@portraits")
    assert (project / "data/records/portraits.csv").read_bytes() == before


@pytest.mark.parametrize("kind", ["with labels in its file names", "that is a table"])
def test_a_dataset_beside_others_trains_no_model_again(project, tmp_path, kind):
    """The rows of the page are added, while data.source and budget, which count for every model, stay."""
    *create, change, replace = steps(f"A dataset {kind}")
    for step in create:
        step.apply(project, tmp_path)
    path, editor = project / "params.yaml", loading.yaml_editor()
    values, rows = editor.load(path), yaml.safe_load(replace.block)
    values["datasets"] += rows.pop("datasets")
    values["parse_labels"]["datasets"] += yaml.safe_load(change.block)["parse_labels"]["datasets"]
    merge(values, rows)
    editor.dump(values, path)
    dvc(project, "repro", "split@utkface")
    (name,) = rows["models"]
    assert training_stages(stale(project)) == {f"tune@{name}", f"train@{name}"}


def test_a_dataset_that_is_a_table(mine):
    folder, data = mine
    labels = pd.read_csv(data / "mine/labels.csv")
    records = pd.read_csv(folder / "data/records/mine.csv")
    assert len(records) == len(labels)
    assert records["reject"].isna().all()
    assert {"age_mae", "sex_accuracy"} <= set(scores(folder, "mine"))
    assert (folder / "reports/cards/datasets/mine.md").exists()


def test_a_target_of_a_table(mine, tmp_path):
    before, data = mine
    folder = Path(shutil.copytree(before, tmp_path / "faces", symlinks=True))
    follow("A target of a table", folder, data)
    files = {step.file for name in ("A dataset that is a table", "A target of a table") for step in steps(name)}
    assert f"{len(files)} if it has a new target" in PAGE
    assert "read_table@mine" in repro(folder)
    given = pd.read_csv(data / "mine/labels.csv").set_index("file")["has_glasses"]
    records = pd.read_csv(folder / "data/records/mine.csv", index_col="face_id")
    read = records["glasses"].map({"no": 0, "yes": 1})
    assert read.equals(given.reindex(read.index))
    history = pd.read_csv(folder / "reports/models/mine/history.csv")
    assert "val_glasses_accuracy" in history
    tested = pd.read_csv(folder / "data/evaluated/mine/predictions.csv").query("part == 'test'")
    assert np.allclose(tested["glasses_p_no"] + tested["glasses_p_yes"], 1)
    counts = pd.read_csv(folder / "reports/models/mine/counts.csv").query("target == 'glasses'")
    assert counts["n"].sum() == tested["glasses"].notna().sum() < len(tested)  # faces without a label are masked
    assert "glasses_accuracy" in scores(folder, "mine")
    assert "test/glasses_accuracy" in metrics(folder, "mine")
    assert (folder / "reports/plots/mine/glasses_confusion.png").exists()
    assert re.search(r"^\| glasses +\| accuracy ", card(folder, "mine"), re.MULTILINE)
    photo = str(data / "mine/photos/1.jpg")
    (option,) = re.findall(r"`commands\.predict (--model \S+)`", SECTIONS["A target of a table"])
    words = ("commands.predict", *option.split(), "--cropped", "--format", "jsonl", photo)
    assert json.loads(python(folder, *words))["glasses"] in ("no", "yes")


def test_a_score(project, tmp_path):
    follow("A score", project, tmp_path)
    changed, ran = stale(project), repro(project)
    faces = pd.read_csv(project / f"data/evaluated/{MODEL}/predictions.csv").query("part == 'test'")
    kappa = cohen_kappa_score(faces["sex"], faces["sex_predicted"])
    assert metrics(project, MODEL)["test/sex_kappa"] == pytest.approx(kappa)
    rows = pd.read_csv(project / f"reports/models/{MODEL}/scores.csv").query("part == 'test' and score == 'kappa'")
    assert set(rows["target"]) == {"sex", "ethnicity"}
    assert (rows["low"] <= rows["high"]).all()
    assert re.search(r"^\| sex +\| kappa ", card(project, MODEL), re.MULTILINE)
    assert training_stages(changed | ran) == set()


def test_teachers(project, tmp_path):
    follow("Teachers", project, tmp_path)
    new = {"teachers@pair", "tune@utkface-distilled", "train@utkface-distilled"}
    assert training_stages(stale(project)) == new
    assert training_stages(repro(project)) == new
    folder, targets = project / "data/soft_targets/pair", ("age", "sex", "ethnicity")
    assert pd.read_csv(folder / "history.csv")["teacher"].nunique() == 2
    split = pd.read_csv(project / "data/splits/utkface.csv").query("part == 'train'")
    with np.load(folder / "soft_targets.npz") as soft:
        assert set(soft["face_ids"]) == set(split["face_id"])
        assert all(np.isfinite(soft[target]).all() for target in targets)
    assert {"age_mae", "sex_accuracy", "ethnicity_accuracy"} <= set(scores(project, "utkface-distilled"))
    assert "distilled with a weight of 50% from 2 teachers" in card(project, "utkface-distilled")
