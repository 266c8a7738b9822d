"""params.yaml: what is wrong is said with its line, before any work."""

import re

import pytest

from stages.lib import params


def test_the_committed_file_is_valid(project):
    p = params.load()
    assert list(p.models) == ["utkface-cropped", "utkface-full", "wiki-cropped"]
    assert p.budget_for("sample").epochs == p.budgets.sample.epochs


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  batch_size: 32", "  batch_size: -3", r"train.batch_size: -3 is not a positive whole number"),
        ("  batch_size: 32", "  batch_size: 1.5", r"train.batch_size: 1.5 is not usable: .*integer"),
        ("  batch_size: 32", "  batch_size: true", r"train.batch_size: True is not usable"),
        ("  batch_size: 32", "  batch_sise: 32", r"train.batch_sise: is not a key that is known here"),
        ("  patience: 8", "  patience_: 8", r"train.patience: is missing"),
        ("  val: 0.10", "  val: 0.9", r"split: val, test and calibration leave nothing"),
        ("  utkface-full: {dataset: utkface, variant: full}\n", "", r"'utkface-full' is not a row of variants"),
        ("    network: residual", "    network: residul", r"models.utkface-cropped.network: 'residul' is not a module"),
        ("targets: [age, sex, ethnicity]", "targets: [age, glasses]", r"targets.1: 'glasses' is not a row of"),
        ("datasets: [utkface, wiki]", "datasets: [utkface, wiki, faces]", r"datasets.2: 'faces' is not a module"),
        ("  method: bayesian", "  method: grid", r"tune.method: 'grid' is not one of 'bayesian' or 'random'"),
        ("    dropout: {min: 0.0, max: 0.5", "    dropout: {min: 0.0, max: 1.5", r"tune.space.dropout: 1.5 .*share"),
        ("    dropout: {min", "    flip: {min", r"tune.space.flip: is not a number under train"),
        ("  monitor: score ", "  monitor: height ", r"train.monitor: 'height' is not one of score, age_mae"),
        ("    zoom: [0.85, 1.1]", "    zoom: [1.1]", r"train.augment.zoom"),
        ("  image_size: 96", "  image_size: 200", r"train.image_size: 200 is above pack.size"),
    ],
)
def test_a_fault_is_named_with_its_line(edit, old, new, message):
    edit(old, new)
    with pytest.raises(params.ParamsError, match=r"params.yaml:\d+: .*" + message):
        params.load()


def test_the_line_is_the_right_one(edit, project):
    edit("  batch_size: 32", "  batch_size: 0")
    lines = (project / "params.yaml").read_text().splitlines()
    with pytest.raises(params.ParamsError) as error:
        params.load()
    number = int(re.match(r"params.yaml:(\d+):", str(error.value))[1])
    assert lines[number - 1].startswith("  batch_size: 0")


def test_broken_yaml_and_no_file(project):
    (project / "params.yaml").write_text("a: [1\n")
    with pytest.raises(params.ParamsError, match="not readable as YAML"):
        params.load()
    (project / "params.yaml").unlink()
    with pytest.raises(params.ParamsError, match="top folder"):
        params.load()


def test_searched_numbers_are_checked_anew(project):
    train = params.load().train
    assert params.with_value(train, {"batch_size": 16.0}).batch_size == 16
    with pytest.raises(ValueError, match="positive number"):
        params.with_value(train, {"learning_rate": 0.0})
