"""Old params are read, renamed with their comments, and named in errors."""

import io
import subprocess
import sys

import pytest
import yaml

from commands import check
from faces import params
from faces.params import loading, renamed
from tests.conftest import ROOT

OLD = """\
data: {source: sample}
lessons:
  none: {teachers: []}
  two:
    held_out: true  # each leaves out its share
    teachers:
      - {dataset: utkface, variant: found, network: residual, targets: [age], train: {seed: 2, views: 2}}
models:
  m: {dataset: utkface, variant: found, lesson: two, train: {growing: [48], seed: 3}}
variants:
  utkface-found: {dataset: utkface, variant: found, reader: utkface}
  mine-cropped: {dataset: mine, variant: cropped, reader: table, pictures: photos}  # a folder
tables:
  mine: {labels: labels.csv, columns: {picture: file, age: years}}
clean:
  same_photo: 0.82
  copies: one   # one image of each face
budget: auto
tune:
  together: 2   # trials at once
  space: {lesson: {min: 0.1, max: 0.9}}
train:
  seed: 5
  rarity: {}
  augment: {grey: 0.1, erase: 0.3}
"""


def test_an_old_file_gets_new_names_and_keeps_comments_and_order():
    editor, text = loading.yaml_editor(), io.StringIO()
    values = editor.load(OLD)
    editor.dump(renamed.translate(values), text)
    new = yaml.safe_load(text.getvalue())
    assert new["teachers"] == {
        "two": {"out_of_fold": True, "dataset": "utkface", "variant": "detected", "network": "residual",
                "models": [{"targets": ["age"], "train": {"tta_flip": True}, "seed": 2}]}
    }  # fmt: skip
    assert new["models"]["m"] == {
        "dataset": "utkface", "variant": "detected", "teachers": "two", "train": {"progressive_sizes": [48]}, "seed": 3
    }  # fmt: skip
    assert new["variants"] == {
        "utkface-detected": {"dataset": "utkface", "variant": "detected", "reader": "utkface"},
        "mine-cropped": {"dataset": "mine", "variant": "cropped", "reader": "table", "images": "photos"},
    }
    assert new["tables"] == {"mine": {"labels": "labels.csv", "columns": {"image": "file", "age": "years"}}}
    assert new["clean"] == {"duplicate_correlation": 0.82, "deduplicate": True}
    assert (new["seed"], new["budget"]) == (5, "sample")
    assert list(new["tune"]) == ["parallel_trials", "space"]
    assert list(new["tune"]["space"]) == ["distillation_weight"]
    assert new["train"] == {"label_weight_power": {}, "augment": {"grayscale": 0.1, "random_erasing": 0.3}}
    for comment in ("# each leaves out its share", "# one image of each face", "# trials at once", "# a folder"):
        assert comment in text.getvalue()
    assert renamed.translate(yaml.safe_load(text.getvalue())) == new  # new names stay


def test_absent_keys_get_the_meaning_that_they_had():
    values = renamed.complete({"tune": {"space": {"dropout": {"min": 0.0, "max": 0.5}}}, "budgets": {"real": {}}})
    assert values["tune"]["space"]["dropout"]["sampling"] == "linear"
    assert values["tune"]["parallel_trials"] == 1
    assert values["budgets"]["real"] == {"train": {}, "options": {}}
    assert "train" not in values


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("train.seed", "seed"),
        ("models.m.train.seed", "models.m.seed"),
        ("train.augment.mix", "train.augment.mixup_alpha"),
        ("gate.floors.utkface", "gate.limits.utkface"),
        ("tables.mine.columns.picture", "tables.mine.columns.image"),
        ("variants.mine-cropped.pictures", "variants.mine-cropped.images"),
        ("split.from.mine.picture", "split.from.mine.image"),
        ("train.dropout", "train.dropout"),
    ],
)
def test_dotted_keys_are_renamed(old, new):
    assert renamed.dotted(old) == new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("test_mae", "test/age_mae"),
        ("val_sex_accuracy", "val/sex_accuracy"),
        ("test_score", "test/score"),
        ("test/age_mae", "test/age_mae"),
        ("curve/loss", "curve/loss"),
    ],
)
def test_metrics_of_old_runs_are_renamed(old, new):
    assert renamed.metric(old) == new


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (r"^  progressive_sizes: .*", "  growing: []", "train.growing: is called train.progressive_sizes now"),
        (
            r"^tables: .*",
            "tables: {mine: {labels: a.csv, columns: {picture: file}}}",
            "tables.mine.columns.picture: is called tables.mine.columns.image now",
        ),
    ],
)
def test_an_old_key_is_named_with_its_remedy(edit, old, new, match):
    edit(old, new)
    with pytest.raises(params.ParamsError, match=rf"params.yaml:\d+: {match}: .*--migrate") as error:
        params.load()
    assert "missing" not in str(error.value)


def test_the_keys_of_an_old_table_are_rewritten_in_its_file(project, edit):
    edit(r"^tables: .*", "tables: {mine: {labels: a.csv, columns: {picture: file}}}  # my faces")
    edit(r"^variants:", "variants:\n  mine-cropped: {dataset: mine, variant: cropped, reader: table, pictures: photos}")
    check.migrate(params.PATH)
    text = params.PATH.read_text()
    values = yaml.safe_load(text)
    assert values["tables"]["mine"]["columns"] == {"image": "file"}
    assert values["variants"]["mine-cropped"]["images"] == "photos"
    assert "# my faces" in text


def test_the_file_of_an_old_version_is_usable_after_migration(project):
    shown = subprocess.run(
        ["git", "show", "f40630e:params.yaml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if shown.returncode:
        pytest.skip("the history is not here")
    (project / "params.yaml").write_text(shown.stdout)
    command = [sys.executable, "-m", "commands.check", "--migrate"]
    subprocess.run(command, cwd=project, env={"PYTHONPATH": str(ROOT)}, check=True)
    p = params.load()
    assert (p.seed, p.budget, p.clean.deduplicate, p.gate.tolerance_sd) == (1, "sample", True, 2.0)
    assert "# years: width of the Gaussian" in (project / "params.yaml").read_text()
