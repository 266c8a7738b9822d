"""params.yaml: faults are reported with their lines, before any work."""

import re

import pytest

from faces import params
from faces.params import overrides

NONE = r"^  none: .*"
ROW, ROW_IS = r"^    targets: \[age, sex, ethnicity\]", "    targets: [age, sex, ethnicity]"


def test_the_committed_file_is_valid(project):
    p = params.load()
    assert p.models
    assert overrides.budget_for(p, "sample").epochs == p.budgets.sample.epochs


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r"^  batch_size: \S+", "  batch_size: -3", r"train.batch_size: -3 is not a positive whole number"),
        (r"^  batch_size: \S+", "  batch_size: 1.5", r"train.batch_size: 1.5 is not usable: .*integer"),
        (r"^  batch_size: \S+", "  batch_size: true", r"train.batch_size: True is not usable"),
        (r"^  batch_size: \S+", "  batch_sise: 32", r"train.batch_sise: is not a known key"),
        (r"^  patience: \S+", "  patience_: 8", r"train.patience: is missing"),
        (r"^  val: \S+", "  val: 0.9", r"split: val, test and calibration leave nothing"),
        (r"^  utkface-full: \{dataset.*\n", "", r"'utkface-full' is not a row of variants"),
        (
            r"^    variant: \S+",
            "    variant: detected",
            r"utkface-cropped.variant: 'utkface-detected' is not a row of variants",
        ),
        (r"^    variant: \S+", "    variant: wild", r"variant: 'wild' is not one of 'cropped', 'found' or 'full'"),
        (r"^    network: \S+", "    network: residul", r"models.utkface-cropped.network: 'residul' is not a module"),
        (r"targets: \[.*?\]", "targets: [age, glasses]", r"targets.1: 'glasses' is not a row of"),
        (r"^datasets: \[(.*)\]", "datasets: [utkface, wiki, faces]", r"datasets.2: 'faces' must be in one of"),
        (r"^  method: \S+", "  method: grid", r"tune.method: 'grid' is not one of 'bayesian' or 'random'"),
        (
            r"^    dropout: \{min: \S+ max: [0-9.]+",
            "    dropout: {min: 0.0, max: 1.5",
            r"tune.space.dropout: 1.5 .*share",
        ),
        (r"^    dropout: \{min", "    flip: {min", r"tune.space.flip: is not a number under train"),
        (r"^  monitor: \S+", "  monitor: height ", r"train.monitor: 'height' is not one of score, age_mae"),
        (r"^  zoom: \S+", "  zoom: 0.1", r"train.zoom: 0.1 is not a scale"),
        (r"^    zoom: \[.*?\]", "    zoom: [1.1]", r"train.augment.zoom"),
        (r"^  image_size: \S+", "  image_size: 200", r"train.image_size: 200 is above pack.side"),
        (r"^  crop: \S+", "  crop: 200", r"train.crop: 200 is above pack.side, 104"),
        (ROW, ROW_IS + "\n    options: {size: 3}", r"options.size: has a name that DVC"),
        (r"^  crop: \S+", "  crop: 80", r"train.image_size: 96 is above crop, 80"),
        (r"^  fold: 0", "  fold: 1", r"split.fold: 1 is not below split.folds, 1"),
        (r"^  ages: \[.*?\]", "  ages: [30, 20]", r"split.ages: \[30, 20\] is not \[lowest, highest\]"),
        (
            r"^    lesson: none",
            "    lesson: ensemble",
            r"utkface-cropped.lesson: 'ensemble' is not a row of teachers: none",
        ),
        (r"^    lesson: none\n", "", r"utkface-cropped.lesson: is missing: one of none"),
        (NONE, "  none: {teachers: [{dataset: utkface}]}", r"lessons.none.teachers.0.network: is missing"),
        (NONE, "  none: {held_out: true, teachers: []}", r"lessons.none.out_of_fold: needs at least two teachers"),
        (NONE, "  none: {teachers: [], assistants: [{}]}", r"lessons.none.assistants: have no teachers to learn from"),
        (
            NONE,
            "  none: {teachers: [{dataset: utkface, variant: cropped}, {dataset: wiki, variant: cropped}]}",
            r"lessons.none.teachers.1.dataset: 'wiki' differs from that of the first teacher",
        ),
        (
            NONE,
            "  none: {teachers: [{dataset: utkface}, {dataset: utkface, train: {threads: 9}}]}",
            r"lessons.none.teachers.1: threads differs from that of the first teacher",
        ),
        (ROW, ROW_IS + "\n    train: {batch_sise: 8}", r"utkface-cropped.train.batch_sise: is not a known key"),
        (ROW, ROW_IS + "\n    train: {image_size: 128}", r"utkface-cropped.train.image_size: 128 is above pack.side"),
        (ROW, ROW_IS + "\n    budget: {epochs: 0}", r"utkface-cropped.budget.epochs: 0 is not a positive"),
        (r"^    epochs: \S+", "    epochs: 0", r"budgets.sample.epochs: 0 is not a positive whole number"),
        (r"^    train_minutes: \S+", "    train_minutes: 0", r"budgets.sample.train_minutes: 0 is not a"),
        (
            r"^      utkface-full: \{age_mae",
            "      utkface-half: {age_mae",
            r"gate.limits.utkface-sample.utkface-half: is a model that is not listed under models: remove it",
        ),
        (r"reader: wiki", "reader: wikki", r"variants.wiki-cropped.reader: 'wikki' is not a module"),
        (r"reader: wiki", "reader: table", r"variants.wiki-cropped.reader: 'table': table is the reader of"),
    ],
)
def test_a_fault_is_named_with_its_line(edit, old, new, message):
    edit(old, new)
    with pytest.raises(params.ParamsError, match=r"params.yaml:\d+: .*" + message):
        params.load()


def test_the_line_is_the_right_one(edit, project):
    edit(r"^  batch_size: \S+", "  batch_size: 0")
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


def test_a_row_of_models_overrides_train_and_budget(edit):
    edit(ROW, ROW_IS + "\n    train: {batch_size: 7, augment: {flip: false}}\n    budget: {epochs: 3}")
    p = params.load()
    own, _ = overrides.for_row(p, p.models["utkface-cropped"], "real")
    assert (own.train.batch_size, own.train.augment.flip, own.train.augment.rotate) == (7, False, 11)
    assert own.train.learning_rate == p.train.learning_rate
    assert (overrides.budget_for(own, "sample").epochs, overrides.budget_for(own, "own").epochs) == (3, 3)
    assert overrides.budget_for(own, "sample").trials == overrides.budget_for(p, "sample").trials
    assert overrides.for_row(p, p.models["utkface-full"], "real")[0].train == p.train


def test_a_budget_overrides_train_and_options_and_a_row_overrides_both(edit):
    edit(ROW, ROW_IS + "\n    train: {batch_size: 7}\n    options: {blocks: [2]}")
    edit(r"^    train: \{image_size.*", "    train: {image_size: 40, crop: 90, batch_size: 9}")
    edit(r"^    options: \{residual.*", "    options: {residual: {widths: [4], blocks: [1]}}")
    p = params.load()
    row, other = (p.models[name] for name in ("utkface-cropped", "utkface-full"))
    own, whole = overrides.for_row(p, row, "sample")
    assert (own.train.image_size, own.train.crop, own.train.batch_size) == (40, 90, 7)
    assert whole.options == {"widths": [4], "blocks": [2]}
    assert overrides.for_row(p, other, "sample")[0].train.batch_size == 9
    assert overrides.for_row(p, other, "own")[0].train == overrides.for_row(p, other, "real")[0].train == p.train
    assert overrides.for_row(p, other.model_copy(update={"network": "joshi"}), "sample")[1].options == {}
    edit(r"^    train: \{image_size.*", "    train: {image_size: 40, crop: 39}")
    with pytest.raises(params.ParamsError, match=r"budgets.sample.train.image_size: 40 is above crop, 39"):
        params.load()


def test_searched_numbers_are_validated(project):
    train = params.load().train
    assert overrides.with_values(train, {"batch_size": 16.0}).batch_size == 16
    with pytest.raises(ValueError, match="positive number"):
        overrides.with_values(train, {"learning_rate": 0.0})
