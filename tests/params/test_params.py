"""params.yaml: faults are reported with their lines, before any work."""

import re
from pathlib import Path

import pytest

from faces import params
from faces.params import overrides, schema

TEACHERS = r"^teachers: \{\}"
SET = "dataset: utkface, variant: cropped, network: residual"
ROW, ROW_IS = r"^    targets: \[age, sex, ethnicity\]", "    targets: [age, sex, ethnicity]"


def test_the_committed_file_is_valid(project):
    p = params.load()
    assert p.models
    assert p.budget == "sample"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            r"^  batch_size: \S+",
            "  batch_size: -3",
            r"train.batch_size: -3 is not usable: input should be greater than 0",
        ),
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
        (r"^    variant: \S+", "    variant: wild", r"variant: 'wild' is not one of 'cropped', 'detected' or 'full'"),
        (r"^    network: \S+", "    network: residul", r"models.utkface-cropped.network: 'residul' is not a module"),
        (r"targets: \[.*?\]", "targets: [age, glasses]", r"targets.1: 'glasses' is not a row of"),
        (r"^datasets: \[(.*)\]", "datasets: [utkface, wiki, faces]", r"datasets.2: 'faces' must be in one of"),
        (r"^  method: \S+", "  method: grid", r"tune.method: 'grid' is not one of 'bayesian' or 'random'"),
        (
            r"^    dropout: \{min: \S+ max: [0-9.]+",
            "    dropout: {min: 0.0, max: 1.5",
            r"tune.space.dropout: 1.5 .*less than 1",
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
            r"^    teachers: none",
            "    teachers: two",
            r"utkface-cropped.teachers: 'two' is not a row of teachers: none",
        ),
        (r"^    teachers: none\n", "", r"utkface-cropped.teachers: is missing"),
        (TEACHERS, f"teachers: {{two: {{{SET}, models: []}}}}", r"teachers.two.models: lists no teacher"),
        (
            TEACHERS,
            f"teachers: {{none: {{{SET}, models: [{{targets: [age]}}]}}}}",
            r"teachers.none: is the name for no",
        ),
        (TEACHERS, f"teachers: {{two: {{{SET}, models: [{{}}]}}}}", r"teachers.two.models.0.targets: is missing"),
        (
            TEACHERS,
            f"teachers: {{two: {{{SET}, out_of_fold: true, models: [{{targets: [age]}}]}}}}",
            r"teachers.two.out_of_fold: needs at least two models",
        ),
        (
            TEACHERS,
            f"teachers: {{two: {{{SET}, models: [{{targets: [age], dataset: wiki}}]}}}}",
            r"teachers.two.models.0.dataset: is not a key of a teacher",
        ),
        (
            TEACHERS,
            f"teachers: {{two: {{{SET}, models: [{{targets: [age]}}, {{targets: [age], train: {{threads: 9}}}}]}}}}",
            r"teachers.two.models.1: threads differs from that of the first teacher",
        ),
        (r"^budget: \S+", "budget: much", r"budget: 'much' is not a row of budgets: sample, real"),
        (r"^  source: \S+", "  source: official", r"budget: 'sample' is too little for photos"),
        (ROW, ROW_IS + "\n    train: {batch_sise: 8}", r"utkface-cropped.train.batch_sise: is not a known key"),
        (ROW, ROW_IS + "\n    train: {image_size: 128}", r"utkface-cropped.train.image_size: 128 is above pack.side"),
        (ROW, ROW_IS + "\n    budget: {epochs: 0}", r"utkface-cropped.budget.epochs: 0 is not usable: input should be"),
        (
            r"^    epochs: \S+",
            "    epochs: 0",
            r"budgets.sample.epochs: 0 is not usable: input should be greater than 0",
        ),
        (
            r"^    train_minutes: \S+",
            "    train_minutes: 0",
            r"train_minutes: 0 is not usable: input should be greater",
        ),
        (
            r"^      utkface-full: \{age_mae",
            "      utkface-half: {age_mae",
            r"gate.limits.utkface-sample.utkface-half: is a model that is not listed under models: remove it",
        ),
        (TEACHERS, f"teachers: {{../x: {{{SET}, models: [{{targets: [age]}}]}}}}", r"teachers.../x: is not a name of"),
        (r"^  utkface-full:", f"  {'a' * 61}:", r"models.a+: is not a name of .*, at most 60"),
        (r"^datasets: \[(.*)\]", "datasets: [utkface, wiki, wiki]", r"datasets.2: 'wiki' is listed twice"),
        (ROW, "    targets: [age, age]", r"models.utkface-cropped.targets.1: 'age' is listed twice"),
        (
            r"^  datasets: \[utkface\]",
            "  datasets: [utkface, wiki]",
            r"parse_labels.datasets.1: 'wiki': its labels are not",
        ),
        (
            r"^  datasets: \[wiki\]",
            "  datasets: [wiki, utkface]",
            r"convert_mat.datasets.1: 'utkface': its labels are in",
        ),
        (r"^  datasets: \[wiki\]", "  datasets: [wiki, odd]", r"convert_mat.datasets.1: 'odd' is not a module of"),
        (
            r"^  monitor: score",
            "  monitor: ethnicity_accuracy",
            r"wiki-cropped: 'ethnicity_accuracy' is a score of eth",
        ),
        (
            r"options: \{residual: \{widths",
            "options: {residual: {width",
            r"options.residual.width: is no option of residual",
        ),
        (r"options: \{residual", "options: {residul", r"budgets.sample.options.residul: 'residul' is not a module"),
        (
            r"options: \{residual: .*\}\}",
            "options: {}",
            r"utkface-cropped.options: residual needs the option widths, b",
        ),
        (ROW, ROW_IS + "\n    options: {width: 3}", r"utkface-cropped.options.width: is no option of residual"),
        (
            ROW,
            ROW_IS + "\n    budget: {options: {odd: {}}}",
            r"utkface-cropped.budget.options.odd: 'odd' is not a module",
        ),
        (ROW, ROW_IS + "\n    budget: {train: {batch: 8}}", r"utkface-cropped.budget.train.batch: is not a known key"),
        (ROW, ROW_IS + "\n    budget: {train: {crop: 200}}", r"utkface-cropped.budget.train.crop: 200 is above pack"),
        (
            r"^    utkface-sample:",
            "    utkface-samples:",
            r"'utkface-samples' is not a baseline of utkface-cropped: utk",
        ),
        (r"^    dropout: \{min", "    replicas: {min", r"tune.space.replicas: is not a number under train"),
        (r"^    dropout: \{min: 0.0", "    zoom: {min: 0.1", r"tune.space.zoom: 0.1 is not a scale from 0.5 to 2"),
        (r"^seed: 1", "seed: 4294967296", r"seed: 4294967296 is not usable"),
        (r"^  margin: 0.4", "  margin: 40", r"pack.margin: 40 is not usable: input should be less than or equal to 10"),
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


def test_a_row_of_models_overrides_train_budget_and_seed(edit):
    edit(ROW, ROW_IS + "\n    train: {batch_size: 7, augment: {flip: false}}\n    budget: {epochs: 3}\n    seed: 9")
    p = params.load()
    settings, budget, _ = overrides.for_row(p, p.models["utkface-cropped"])
    assert (settings.batch_size, settings.augment.flip, settings.augment.rotate, settings.seed) == (7, False, 11, 9)
    assert (settings.weight_decay, settings.learning_rate) == (p.train.weight_decay, 0.008)
    assert (budget.epochs, budget.trials) == (3, p.budgets["sample"].trials)
    other, _, _ = overrides.for_row(p, p.models["utkface-full"])
    assert (other.batch_size, other.seed) == (p.train.batch_size, p.seed)


def test_a_budget_overrides_train_and_options_and_a_row_overrides_both(edit):
    edit(ROW, ROW_IS + "\n    train: {batch_size: 7}\n    options: {blocks: [2]}")
    edit(r"^    train: \{image_size.*", "    train: {image_size: 40, crop: 90, batch_size: 9}")
    edit(r"^    options: \{residual.*", "    options: {residual: {widths: [4], blocks: [1]}}")
    p = params.load()
    row, other = (p.models[name] for name in ("utkface-cropped", "utkface-full"))
    settings, _, whole = overrides.for_row(p, row)
    assert (settings.image_size, settings.crop, settings.batch_size) == (40, 90, 7)
    assert whole.options == {"widths": [4], "blocks": [2]}
    assert overrides.for_row(p, other)[0].batch_size == 9
    assert overrides.for_row(p, other.model_copy(update={"network": "joshi"}))[2].options == {}
    real = overrides.for_row(p.model_copy(update={"budget": "real"}), other)[0]
    assert real == params.Settings(seed=p.seed, **p.train.model_dump())
    edit(r"^    train: \{image_size.*", "    train: {image_size: 40, crop: 39}")
    with pytest.raises(params.ParamsError, match=r"budgets.sample.train.image_size: 40 is above crop, 39"):
        params.load()


def test_what_a_model_was_trained_with_is_kept_whole(project):
    p = params.load()
    settings, budget, row = overrides.for_row(p, p.models["utkface-cropped"])
    assert overrides.from_recipe(overrides.recipe(settings, budget, row)) == settings


def test_the_schema_has_no_defaults_that_change_a_result():
    """What is left out of params.yaml is absent: None or empty."""
    for section in vars(schema).values():
        if isinstance(section, type) and issubclass(section, schema.Section):
            for name, field in section.model_fields.items():
                assert field.is_required() or not field.default, (section, name)


def test_searched_numbers_are_validated(project):
    train = params.load().train
    assert overrides.with_values(train, {"batch_size": 16.0}).batch_size == 16
    with pytest.raises(ValueError, match="greater than 0"):
        overrides.with_values(train, {"learning_rate": 0.0})


@pytest.mark.parametrize("number", ["5e-05", "5E-5", "5.0e-05", "0.00005", "+5e-5"])
def test_small_numbers_are_numbers_as_dvc_writes_them(edit, number):
    edit(r"^  weight_decay: \S+", f"  weight_decay: {number}")
    assert params.load().train.weight_decay == 0.00005


TABLE = """
  mine:
    labels: {labels}
    columns: {{image: file, sex: gender}}
    classes: {{sex: {{{codes}}}}}
"""


@pytest.mark.parametrize(
    ("codes", "known"),
    [("0: male, 1: female", ["0", "1"]), ("no: male, yes: female", ["no", "yes"]),
     ("off: male, ON: female", ["off", "ON"]), ("0.0: male, 1.0: female", ["0.0", "1.0"]),
     ("'0': male, ~: ''", ["0", "None"])],
)  # fmt: skip
def test_codes_need_no_quotes(edit, codes, known):
    edit(r"^tables: \{\}", "tables:" + TABLE.format(labels="x.csv", codes=codes).rstrip())
    edit(r"^datasets: .*", "datasets: [utkface, wiki, mine]")
    edit(r"^variants:", "variants:\n  mine-cropped: {dataset: mine, variant: cropped, reader: table, images: ~/faces}")
    p = params.load()
    assert list(p.tables["mine"].classes["sex"]) == known
    assert p.variants["mine-cropped"].images == str(Path.home() / "faces")


def test_a_home_is_written_with_a_tilde(edit):
    edit(r"^  source: sample", "  source: ~/faces")
    edit(r"^budget: sample", "budget: real")
    assert params.load().data.source == str(Path.home() / "faces")


@pytest.mark.parametrize(
    ("dataset", "targets", "fault"),
    [("wiki", "age", "'two' are teachers of another dataset"), ("utkface", "sex", "'two' predict none of age")],
)
def test_teachers_of_other_faces_or_targets_are_refused(edit, dataset, targets, fault):
    row = f"{{dataset: {dataset}, variant: cropped, network: residual, models: [{{targets: [{targets}]}}]}}"
    edit(TEACHERS, f"teachers: {{two: {row}}}")
    edit(ROW + r"\n    teachers: none", "    targets: [age]\n    teachers: two")
    with pytest.raises(params.ParamsError, match=rf"models.utkface-cropped.teachers: {fault}"):
        params.load()


START = r"^    start_from: pretrained/none"


@pytest.mark.parametrize(
    ("start", "fault"),
    [
        ("data/models/wiki", "'wiki' is not a row of models: utkface-cropped, utkface-full, wiki-cropped"),
        ("data/models/utkface-cropped", "data/models/utkface-cropped leads back to utkface-cropped"),
        ("data/models/wiki-cropped", "data/models/wiki-cropped leads back to utkface-cropped"),
        ("pretrained/other", "pretrained/other is no folder: data/models/NAME, pretrained/utkface, or one that"),
    ],
)
def test_a_start_that_is_not_there_or_leads_back_is_refused(edit, project, start, fault):
    if "wiki-cropped" in start:
        edit(r"(?s)(  wiki-cropped:.*?start_from: )pretrained/none", "  wiki-cropped:\n    dataset: wiki\n    variant: "
             "cropped\n    network: residual\n    targets: [age, sex]\n    teachers: none\n"
             "    start_from: data/models/utkface-cropped")  # fmt: skip
    edit(START, f"    start_from: {start}")
    with pytest.raises(params.ParamsError, match=rf"models.utkface-cropped.start_from: {fault}"):
        params.load()


def test_a_start_may_be_another_row_or_a_folder(edit, project):
    edit(START, "    start_from: data/models/wiki-cropped")
    assert params.load().models["utkface-cropped"].start_from == "data/models/wiki-cropped"
    (project / "pretrained/mine").mkdir(parents=True)
    edit(r"start_from: data/models/wiki-cropped", "start_from: pretrained/mine")
    assert params.load().models["utkface-cropped"].start_from == "pretrained/mine"


def test_the_part_of_a_fold_counts_as_its_share(edit):
    edit(r"^  folds: 1", "  folds: 2")
    params.load()
    edit(r"^  val: 0.10", "  val: 0.45")
    with pytest.raises(params.ParamsError, match=r"split: val, test and calibration leave nothing"):
        params.load()


def test_a_value_of_a_published_split_is_in_one_part(edit):
    edit(
        r"^  from: \{\}", "  from: {wiki: {file: a, image: a, part: b, folds: [{train: [0, 1], val: [2], test: [1]}]}}"
    )
    with pytest.raises(params.ParamsError, match=r"split.from.wiki.folds.0: '1' is in it twice"):
        params.load()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[" * 5000, "not readable as YAML"),
        ("a: 1\na: 2\n", "duplicate key"),
        (b"\xff\xfe\x00", "not readable as YAML"),
        ("\n".join(["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9))]),
         "it has more than 100000 values"),
        ("- a\n", "input should be"),
        ("", "input should be"),
        ("{}", "data: is missing"),
    ],
)  # fmt: skip
def test_what_is_no_params_file_is_named(project, text, fault):
    (project / "params.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(params.ParamsError, match=fault):
        params.load()


def test_a_step_of_a_logarithmic_range_is_a_factor(edit):
    edit(r"max: 0.008, sampling: log\}", "max: 0.008, sampling: log, step: 0.001}")
    with pytest.raises(params.ParamsError, match=r"tune.space.learning_rate.step: 0.001: with sampling log each value"):
        params.load()
    edit(r"step: 0.001\}", "step: 2}")
    assert params.load().tune.space["learning_rate"].step == 2


def test_dvc_does_not_know_the_tilde_of_a_file_that_it_watches(edit):
    edit(r"^tables: {}", "tables:\n  mine: {labels: ~/l.csv, columns: {image: file, age: age}}")
    with pytest.raises(params.ParamsError, match=r"tables\.mine\.labels: ~/l\.csv: .* write it in full"):
        params.load()


@pytest.mark.parametrize("line", ["%YAML 9.9\n---", "? [a, b]\n: 1", "seed: !!float a"])
def test_what_the_parser_does_not_take_is_one_line(project, line):
    path = project / "params.yaml"
    path.write_text(f"{line}\n{path.read_text()}")
    with pytest.raises(params.ParamsError, match=r"^params.yaml:"):
        params.load()
