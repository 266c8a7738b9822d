"""params.yaml as typed, validated classes: params.load() checks the whole file before any work starts."""

import contextlib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict

PATH = Path("params.yaml")
NETWORKS = Path(__file__).parent / "networks"
DATASETS = Path(__file__).parent / "datasets"
Kind = Literal["cropped", "found", "full"]  # of variant


def _ranged(kind: type, allows: Any, phrase: str) -> Any:
    def check(value: Any) -> Any:
        if not allows(value):
            raise ValueError(f"is not {phrase}")
        return value

    return Annotated[kind, AfterValidator(check)]


Count = _ranged(int, lambda v: v > 0, "a positive whole number")
Whole = _ranged(int, lambda v: v >= 0, "a whole number of 0 or more")
Positive = _ranged(float, lambda v: 0 < v < float("inf"), "a positive number")
NotNegative = _ranged(float, lambda v: 0 <= v < float("inf"), "a number of 0 or more")
Share = _ranged(float, lambda v: 0 <= v <= 1, "a share between 0 and 1")
Fraction = _ranged(float, lambda v: 0 <= v < 1, "a share of 0 or more and below 1")
OpenShare = _ranged(float, lambda v: 0 < v < 1, "a share above 0 and below 1")
Percent = _ranged(int, lambda v: 1 <= v <= 100, "a whole number from 1 to 100")
SampleSize = _ranged(int, lambda v: v >= 200, "a whole number of 200 or more")
Resamples = _ranged(int, lambda v: v >= 1000, "a whole number of 1000 or more, which the tails of p-values need")
Side = _ranged(int, lambda v: 32 <= v <= 1024, "a whole number from 32 to 1024")
Years = _ranged(int, lambda v: 0 <= v <= 124, "a whole number from 0 to 124")


class Section(BaseModel):
    """A section of params.yaml: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Data(Section):
    """Where the archives come from."""

    source: str
    simulated: bool
    in_place: bool = False  # older runs have none


class Sample(Section):
    """The faces that the project draws."""

    faces: SampleSize
    seed: Whole


class Variant(Section):
    """One DATASET-VARIANT: what is downloaded and packed."""

    dataset: str
    variant: Kind
    reader: str
    pictures: str | None = None


class Columns(Section):
    """Names of a table's columns; None where it has no such."""

    picture: str | None = None
    age: str | None = None
    sex: str | None = None
    ethnicity: str | None = None
    identity: str | None = None
    split: str | None = None


class Table(Section):
    """One's own labels."""

    labels: str
    columns: Columns
    classes: dict[str, dict[str, str]] = {}
    ages: dict[str, NotNegative] = {}


class Model(Section):
    """One row of models: what train@MODEL makes."""

    dataset: str
    variant: Kind
    network: str
    options: dict[str, Any] = {}
    targets: list[str]
    lesson: str | None = None  # None in rows of runs that are older than lessons
    train: dict[str, Any] = {}
    budget: dict[str, Any] = {}


class Lesson(Section):
    """Teachers of one dataset's faces; each is a row of models without a lesson of its own.

    Assistants learn from the teachers, and speak in their place (Mirzadeh et al. 2020, "Improved knowledge
    distillation via teacher assistant"; here of the same size, as in Furlanello et al. 2018, "Born again neural
    networks").
    """

    held_out: bool = False
    teachers: list[dict[str, Any]]
    assistants: list[dict[str, Any]] = []

    @property
    def rounds(self) -> dict[str, list[dict[str, Any]]]:
        """Who is trained, one round after the other; each but the first learns from what the one before it says."""
        return {"teachers": self.teachers, "assistants": self.assistants}


class ParseLabels(Section):
    """Datasets whose labels stand in file names."""

    datasets: list[str]


class ConvertMat(Section):
    """Datasets whose labels stand in a .mat file, and the bounds of a usable row."""

    datasets: list[str]
    min_age: Years
    max_age: Years
    min_face_score: float
    max_second_face_score: float | None


class Pack(Section):
    """How pictures are stored."""

    side: Side
    quality: Percent
    margin: NotNegative
    shard_faces: Count


class Clean(Section):
    """When two pictures are copies, and whose labels are believed."""

    same_photo: OpenShare
    max_age_spread: NotNegative
    copies: Literal["one", "all"]


class Fold(Section):
    """Which values of a published split are which part, in one of its folds."""

    train: list[str | int]
    val: list[str | int]
    test: list[str | int]


class Published(Section):
    """Somebody's split of a dataset."""

    file: str
    picture: str = "img_path"
    part: str = "folder"
    folds: list[Fold]


class Split(Section):
    """Shares of the parts; what is left is for training."""

    seed: Whole
    by: Literal["group", "face"]
    val: OpenShare
    test: OpenShare
    calibration: Fraction
    ages: list[Years]
    folds: Count
    fold: Whole
    from_: dict[str, Published] = pydantic.Field(alias="from")


class Budget(Section):
    """How much compute training and search may take."""

    epochs: Count
    trials: Whole
    trial_epochs: Count
    train_minutes: Positive | None
    tune_minutes: Positive | None
    precision: Literal["auto", "float32", "bfloat16"]
    train: dict[str, Any] = {}  # older runs have none of these two
    options: dict[str, dict[str, Any]] = {}


class Budgets(Section):
    """One budget a source kind."""

    sample: Budget
    real: Budget


class Range(Section):
    """The values that a search may try for one number."""

    min: float
    max: float
    sampling: Literal["linear", "log"] = "linear"
    step: Positive | None = None


class Tune(Section):
    """The search."""

    seed: Whole
    method: Literal["bayesian", "random"]
    least_gain: NotNegative
    together: Count = 1  # older runs have none of these two
    give_up: Count | None = None
    space: dict[str, Range]


class Augment(Section):
    """Random changes to training pictures."""

    flip: bool
    rotate: NotNegative
    zoom: list[Positive]
    shift: Share
    brightness: Share
    contrast: Share
    colour: Share
    grey: Share
    erase: Share
    mix: NotNegative = 0.0  # older runs have none
    settle: Share = 0.0  # older runs have none


class Train(Section):
    """The recipe."""

    seed: Whole
    threads: Count
    replicas: Count = 1  # older runs have none
    image_size: Side
    crop: Side | None = None  # older runs have none
    growing: list[Side] = []  # older runs have none
    batch_size: Count
    optimizer: Literal["adamw", "muon"] = "adamw"  # older runs have none
    learning_rate: Positive
    warmup: Fraction
    weight_decay: NotNegative
    dropout: Fraction
    age_sigma: Positive
    age_l1: NotNegative
    ema_epochs: NotNegative
    balance: Literal["none", "weights", "undersample"]
    monitor: str
    patience: Count
    loss_weights: dict[str, NotNegative]
    rarity: dict[str, NotNegative]
    lesson: Share
    views: Literal[1, 2]
    zoom: Positive = 1.0  # older runs have none
    label_smoothing: dict[str, Fraction]
    augment: Augment


class Calibrate(Section):
    """What a model promises of its age intervals."""

    confidence: OpenShare


class Evaluate(Section):
    """Intervals and small groups."""

    min_n: Count
    resamples: Resamples
    confidence: OpenShare
    seed: Whole


class Gate(Section):
    """What a change may cost."""

    spreads: NotNegative
    years: NotNegative
    share: Share
    floors: dict[str, dict[str, dict[str, float]]]


class Register(Section):
    """How the registered model is chosen."""

    score: str


class Params(Section):
    """The whole file."""

    data: Data
    sample: Sample
    datasets: list[str]
    tables: dict[str, Table]
    variants: dict[str, Variant]
    lessons: dict[str, Lesson]
    models: dict[str, Model]
    parse_labels: ParseLabels
    convert_mat: ConvertMat
    pack: Pack
    clean: Clean
    split: Split
    budget: Literal["auto", "sample", "real"]
    budgets: Budgets
    tune: Tune
    train: Train
    calibrate: Calibrate
    evaluate: Evaluate
    gate: Gate
    register_: Register = pydantic.Field(alias="register")

    def budget_for(self, kind: str) -> Budget:
        """Return the budget of a source kind (`sample`, `real` or `own`), or the one that `budget` names."""
        auto = "sample" if kind == "sample" else "real"
        return getattr(self.budgets, auto if self.budget == "auto" else self.budget)

    def for_row(self, row: Model, kind: str) -> tuple["Params", Model]:
        """The same for one row of models, or a teacher, and pictures of a source kind; and the row with all options.

        What the row says under `train` replaces what the budget says there, and that replaces `train` itself; so with
        the options of its network.
        """
        budgets = {name: _merged(budget, row.budget) for name, budget in self.budgets}
        own = self.model_copy(update={"budgets": Budgets.model_construct(**budgets)})
        budget = own.budget_for(kind)
        train = _merged(_merged(self.train, budget.train), row.train)
        options = budget.options.get(row.network, {}) | row.options
        return own.model_copy(update={"train": train}), row.model_copy(update={"options": options})


class ParamsError(SystemExit):
    """params.yaml is not usable; ends a stage with its message and exit status 1."""


def load(path: Path = PATH) -> Params:
    """Read and check params.yaml.

    Raises ParamsError with one line a fault: `params.yaml:88: train.batch_size: -3 is not a positive whole number`.
    """
    text = _read(path)
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: not readable as YAML: {error}") from None
    try:
        params = Params.model_validate(values)
    except pydantic.ValidationError as error:
        faults = [_fault(detail) for detail in error.errors()]
    else:
        faults = list(dict.fromkeys([*_unseen(values), *_cross_check(params)]))
        if not faults:
            return params
    raise ParamsError("\n".join(f"{where(key, path)}: {what}" for key, what in faults))


def where(key: tuple[str, ...], path: Path = PATH) -> str:
    """Where a key stands, as faults say it: `params.yaml:88: train.batch_size`."""
    return f"{path}:{_line(_lines(_read(path)), key)}: {'.'.join(key)}"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise ParamsError(f"{path} is not here: run this from the project's top folder") from None


def _fault(detail: dict) -> tuple[tuple[str, ...], str]:
    """One error of pydantic's as (key, what is wrong with it)."""
    key = tuple(str(part) for part in detail["loc"])
    value, kind = detail["input"], detail["type"]
    if kind == "missing":
        return key, "is missing"
    if kind == "extra_forbidden":
        return key, "is not a key that is known here"
    if kind == "value_error":
        return key, f"{value!r} {detail['ctx']['error']}"
    if kind == "literal_error":
        return key, f"{value!r} is not one of {detail['ctx']['expected']}"
    return key, f"{value!r} is not usable: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _modules(folder: Path) -> list[str]:
    return sorted(
        path.stem for path in folder.glob("*.py") if not path.stem.startswith("_") and path.stem != "imdb_wiki"
    )


def _unseen(values: Any, key: tuple[str, ...] = ()) -> Any:
    """Yield (key, fault) for keys that DVC's run cache takes for the size of a file, and so leaves out."""
    for name, value in values.items() if isinstance(values, dict) else enumerate(values):
        if name in ("size", "nfiles"):
            yield (*key, name), "has a name whose changes DVC's run cache does not see: give it another"
        if isinstance(value, (dict, list)):
            yield from _unseen(value, (*key, str(name)))


def _cross_check(p: Params) -> Any:
    """Yield (key, fault) for what one key alone cannot show."""
    from stages.lib import targets

    known = _modules(DATASETS)
    readers = {"parse_labels": p.parse_labels.datasets, "convert_mat": p.convert_mat.datasets}
    for i, name in enumerate(p.datasets):
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name):
            yield ("datasets", str(i)), f"{name!r} is not a name of lower-case letters, digits and underscores"
        if sum(name in names for names in (*readers.values(), p.tables)) != 1:
            yield (
                ("datasets", str(i)),
                f"{name!r} must stand in one of parse_labels.datasets, convert_mat.datasets, tables",
            )
        if not _has(p, name, "cropped"):
            yield (
                ("datasets", str(i)),
                f"{name!r} has no cropped row in variants; duplicates are looked for there",
            )
    for section, names in readers.items():
        for i, name in enumerate(names):
            if name not in p.datasets:
                yield (section, "datasets", str(i)), f"{name!r} is not listed in datasets"
    for key, row in p.variants.items():
        if key != f"{row.dataset}-{row.variant}":
            yield ("variants", key), f"must be called {row.dataset}-{row.variant}"
        if row.dataset not in p.datasets:
            yield ("variants", key, "dataset"), f"{row.dataset!r} is not listed in datasets"
        if row.reader not in known:
            yield (
                ("variants", key, "reader"),
                f"{row.reader!r} is not a module of stages/lib/datasets: {', '.join(known)}",
            )
        if (row.reader == "table") != (row.dataset in p.tables):
            yield ("variants", key, "reader"), f"{row.reader!r}: table is the reader of the datasets under tables"
        if (row.reader == "table") != (row.pictures is not None):
            yield ("variants", key, "pictures"), "is needed where the reader is table, and there alone"
        if row.reader == "table" and row.variant != "cropped":
            yield ("variants", key, "variant"), f"{row.variant!r}: a table's pictures are faces, so cropped"
    if not p.models:
        yield ("models",), "lists no model"
    for name in p.models:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            yield ("models", name), "is not a name of lower-case letters, digits and hyphens"
    for name, lesson in p.lessons.items():
        yield from _check_lesson(name, lesson)
    for key, row in _rows(p):
        yield from _check_row(p, key, row, targets)
    yield from _check_sections(p, targets)


def _check_lesson(name: str, lesson: Lesson) -> Any:
    """Check that one process can train a lesson's teachers, and that what they say is of the same faces."""
    first = next(iter(lesson.teachers), {})
    if lesson.assistants and not lesson.teachers:
        yield ("lessons", name, "assistants"), "have no teachers to learn from"
    for kind, rows in lesson.rounds.items():
        if lesson.held_out and len(rows) < 2 and (rows or kind == "teachers"):
            yield ("lessons", name, "held_out"), f"needs two {kind} at least: each speaks of the faces it did not see"
        for i, row in enumerate(rows):
            key = ("lessons", name, kind, str(i))
            try:
                _teacher(row)
            except pydantic.ValidationError as error:
                for where, what in map(_fault, error.errors()):
                    yield (*key, *where), what
            for own in ("dataset", "variant"):
                if row.get(own) != first.get(own):
                    yield (*key, own), f"{row.get(own)!r}: that of the first teacher differs"
            for section, own in (("train", "threads"), ("budget", "precision")):
                mine, other = ((each.get(section) or {}).get(own) for each in (row, first))
                if mine != other:
                    yield key, f"{own} differs from that of the first teacher"


def _teacher(row: dict[str, Any]) -> Model:
    return Model.model_validate({"lesson": "none"} | row)


def _rows(p: Params) -> list[tuple[tuple[str, ...], Model]]:
    """Where each row of a model stands, and the row: those of models, and those of teachers that can be read."""
    found: list[tuple[tuple[str, ...], Model]] = [(("models", name), row) for name, row in p.models.items()]
    for name, lesson in p.lessons.items():
        for kind, rows in lesson.rounds.items():
            for i, row in enumerate(rows):
                with contextlib.suppress(pydantic.ValidationError):
                    found.append((("lessons", name, kind, str(i)), _teacher(row)))
    return found


def _check_row(p: Params, key: tuple[str, ...], row: Model, targets: Any) -> Any:
    """Check a row of models, or of teachers."""
    if not _has(p, row.dataset, row.variant):
        yield (*key, "variant"), f"'{row.dataset}-{row.variant}' is not a row of variants"
    if row.network not in _modules(NETWORKS):
        found = ", ".join(_modules(NETWORKS))
        yield (*key, "network"), f"{row.network!r} is not a module of stages/lib/networks: {found}"
    if row.lesson is None:
        yield (*key, "lesson"), f"is missing: one of {', '.join(p.lessons)}"
    elif row.lesson not in p.lessons:
        yield (*key, "lesson"), f"{row.lesson!r} is not a row of lessons: {', '.join(p.lessons)}"
    if not row.targets:
        yield (*key, "targets"), "lists no target"
    for i, target in enumerate(row.targets):
        if target not in targets.TARGETS:
            rows = ", ".join(targets.TARGETS)
            yield (*key, "targets", str(i)), f"{target!r} is not a row of stages/lib/targets.py: {rows}"


def _check_tables(p: Params, targets: Any) -> Any:
    for name, table in p.tables.items():
        if name not in p.datasets:
            yield ("tables", name), "is not listed in datasets"
        for target, names in table.classes.items():
            row = targets.TARGETS.get(target)
            for text, label in names.items():
                if row is None or label not in ("", *row.classes):
                    allowed = ", ".join(row.classes) if row else ", ".join(targets.TARGETS)
                    yield ("tables", name, "classes", target, text), f"{label!r} is not one of {allowed}"
    for name, row in p.models.items():
        table = p.tables.get(row.dataset)
        for i, target in enumerate(row.targets if table else []):
            if getattr(table.columns, target, None) is None:
                yield (
                    ("models", name, "targets", str(i)),
                    f"tables.{row.dataset}.columns names no column for {target!r}",
                )


def _check_split(p: Params) -> Any:
    low_high = p.split.ages
    if len(low_high) != 2 or low_high[0] > low_high[1]:
        yield ("split", "ages"), f"{low_high} is not [lowest, highest]"
    for name, published in p.split.from_.items():
        if name not in p.datasets:
            yield ("split", "from", name), "is not listed in datasets"
        if p.split.fold >= len(published.folds):
            yield ("split", "fold"), f"{p.split.fold}: split.from.{name} has folds 0 to {len(published.folds) - 1}"
    if not p.split.from_ and p.split.fold >= p.split.folds:
        yield ("split", "fold"), f"{p.split.fold} is not below split.folds, {p.split.folds}"


def _check_sections(p: Params, targets: Any) -> Any:
    yield from _check_tables(p, targets)
    yield from _check_split(p)
    if not p.data.source.strip():
        yield ("data", "source"), "is empty: sample, official, a folder or a URL"
    if p.split.val + p.split.test + p.split.calibration >= 1:
        yield ("split",), "val, test and calibration leave nothing to train on"
    if p.convert_mat.min_age > p.convert_mat.max_age:
        yield ("convert_mat", "min_age"), f"{p.convert_mat.min_age} is above max_age"
    yield from _check_recipes(p, targets)
    yield from _check_floors(p, targets)
    scores = _scores(targets)
    if p.register_.score not in scores:
        yield ("register", "score"), f"{p.register_.score!r} is not one of {', '.join(scores)}"
    for name, space in p.tune.space.items():
        field = Train.model_fields.get(name)
        if field is None or field.annotation not in (int, float) or name in ("seed", "threads", "image_size"):
            yield ("tune", "space", name), "is not a number under train that can be searched for"
            continue
        if space.min > space.max or (space.sampling == "log" and space.min <= 0):
            yield ("tune", "space", name), "needs min <= max, and min above 0 for log"
        for bound in (space.min, space.max):
            try:
                with_value(p.train, {name: bound})
            except pydantic.ValidationError as error:
                yield (
                    ("tune", "space", name),
                    f"{bound} {error.errors()[0].get('ctx', {}).get('error', 'is no value')}",
                )


def _scores(targets: Any) -> list[str]:
    return ["score", *(f"{t}_{m}" for t, row in targets.TARGETS.items() for m in row.monitors)]


def _check_recipes(p: Params, targets: Any) -> Any:
    """Check `train`, and what rows of models make of it."""
    recipes: list[tuple[tuple[str, ...], Train]] = [(("train",), p.train)]
    changes = [((*place, "budget"), p.budgets.real, row.budget) for place, row in _rows(p)]
    for kind, budget in p.budgets:
        changes.append((("budgets", kind, "train"), p.train, budget.train))
        with contextlib.suppress(pydantic.ValidationError):  # which the line before tells
            train = _merged(p.train, budget.train)
            changes += [((*place, "train"), train, row.train) for place, row in _rows(p)]
    for key, section, values in changes:
        try:
            merged = _merged(section, values)
        except pydantic.ValidationError as error:
            yield from (((*key, *where), what) for where, what in map(_fault, error.errors()))
            continue
        if key[-1] == "train" and values:
            recipes.append((key, merged))
    for key, train in recipes:
        name, whole = ("crop", train.crop) if train.crop else ("image_size", train.image_size)
        if whole > p.pack.side:
            yield (*key, name), f"{whole} is above pack.side, {p.pack.side}"
        if train.image_size > whole:
            yield (*key, "image_size"), f"{train.image_size} is above crop, {whole}"
        if not 0.5 <= train.zoom <= 2:
            yield (*key, "zoom"), f"{train.zoom} is not a scale from 0.5 to 2"
        if len(train.augment.zoom) != 2 or train.augment.zoom[0] > train.augment.zoom[1]:
            yield (*key, "augment", "zoom"), f"{train.augment.zoom} is not [smallest, largest]"
        for section in ("loss_weights", "rarity", "label_smoothing"):
            for name in getattr(train, section):
                if name not in targets.TARGETS:
                    yield (*key, section, name), "is not a row of stages/lib/targets.py"
        if train.monitor not in _scores(targets):
            yield (*key, "monitor"), f"{train.monitor!r} is not one of {', '.join(_scores(targets))}"


def _check_floors(p: Params, targets: Any) -> Any:
    from stages.lib import metrics

    known = [f"{name}_{score}" for name, row in targets.TARGETS.items() for score in metrics.HEADLINES[row.kind]]
    for baseline, models in p.gate.floors.items():
        for model, floors in models.items():
            if model not in p.models and set(models) & set(p.models):
                yield ("gate", "floors", baseline, model), "is of a model that is not listed under models: take it out"
            for score in floors:
                if score not in known:
                    yield ("gate", "floors", baseline, model, score), f"is not one of {', '.join(known)}"


def teachers(lesson: Lesson) -> dict[str, list[Model]]:
    """Rows of models that a lesson's teachers are, and its assistants where it has any."""
    return {kind: [_teacher(row) for row in rows] for kind, rows in lesson.rounds.items() if rows}


def _merged(section: Section, values: dict[str, Any]) -> Any:
    """Replace some keys of a section, those of a mapping one by one, and check it anew."""
    merged = section.model_dump()
    for key, value in values.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = merged[key] | value if both else value
    return type(section).model_validate(merged)


def with_value(train: Train, values: dict[str, float]) -> Train:
    """Return the recipe with some numbers replaced, checked anew; whole numbers stay whole."""
    merged = train.model_dump()
    for name, value in values.items():
        merged[name] = round(value) if isinstance(merged[name], int) else float(value)
    return Train.model_validate(merged)


def with_seed(p: Params) -> Params:
    """The same with the seed of the search as that of training: what a search finds must not hang on train.seed."""
    return p.model_copy(update={"train": p.train.model_copy(update={"seed": p.tune.seed})})


def _has(p: Params, dataset: str, variant: str) -> bool:
    return any(row.dataset == dataset and row.variant == variant for row in p.variants.values())


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Line number (from 1) of each key of a YAML text."""
    found: dict[tuple[str, ...], int] = {}

    def walk(node: yaml.Node, path: tuple[str, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                found[(*path, key.value)] = key.start_mark.line + 1
                walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                found[(*path, str(i))] = value.start_mark.line + 1
                walk(value, (*path, str(i)))

    root = yaml.compose(text)
    if root is not None:
        walk(root, ())
    return found


def _line(lines: dict[tuple[str, ...], int], key: tuple[str, ...]) -> int:
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)
