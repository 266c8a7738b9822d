"""The keys of params.yaml, their types and legal values."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict

Key = tuple[str, ...]  # ("train", "batch_size")
Fault = tuple[Key, str]  # a key and what is wrong with it
VariantName = Literal["cropped", "found", "full"]


def _ranged(kind: type, is_legal: Callable[[Any], bool], legal_values: str) -> Any:
    def check(value: Any) -> Any:
        if not is_legal(value):
            raise ValueError(f"is not {legal_values}")
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
BootstrapSamples = _ranged(int, lambda v: v >= 1000, "a whole number of 1000 or more, which small p-values need")
Side = _ranged(int, lambda v: 32 <= v <= 1024, "a whole number from 32 to 1024")
Years = _ranged(int, lambda v: 0 <= v <= 124, "a whole number from 0 to 124")


class Section(BaseModel):
    """A section of params.yaml: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Data(Section):
    """The source of the archives."""

    source: str
    simulated: bool
    in_place: bool = False  # older runs lack this key


class Sample(Section):
    """The generated sample of synthetic faces."""

    faces: SampleSize
    seed: Whole


class Variant(Section):
    """One DATASET-VARIANT: what is downloaded and packed."""

    dataset: str
    variant: VariantName
    reader: str
    pictures: str | None = None


class Columns(Section):
    """Names of a table's columns; None if it has no such column."""

    picture: str | None = None
    age: str | None = None
    sex: str | None = None
    ethnicity: str | None = None
    identity: str | None = None
    split: str | None = None


class Table(Section):
    """A table of the user's own labels."""

    labels: str
    columns: Columns
    classes: dict[str, dict[str, str]] = {}
    ages: dict[str, NotNegative] = {}


class Model(Section):
    """One row of models, which train@MODEL trains."""

    dataset: str
    variant: VariantName
    network: str
    options: dict[str, Any] = {}
    targets: list[str]
    lesson: str | None = None  # None in runs that are older than this key
    train: dict[str, Any] = {}
    budget: dict[str, Any] = {}


class TeacherSet(Section):
    """Teachers for one dataset, as rows of models that are trained on labels alone.

    Assistants are distilled from the teachers, and their predictions replace those of the teachers (Mirzadeh et al.
    2020, "Improved knowledge distillation via teacher assistant"; here of the same size, as in Furlanello et al. 2018,
    "Born again neural networks").
    """

    held_out: bool = False
    teachers: list[dict[str, Any]]
    assistants: list[dict[str, Any]] = []

    @property
    def rounds(self) -> dict[str, list[dict[str, Any]]]:
        """Rounds of training, in order; every round but the first is distilled from the one before it."""
        return {"teachers": self.teachers, "assistants": self.assistants}


class ParseLabels(Section):
    """Datasets whose labels are in file names."""

    datasets: list[str]


class ConvertMat(Section):
    """Datasets whose labels are in a .mat file, and the limits of a usable row."""

    datasets: list[str]
    min_age: Years
    max_age: Years
    min_face_score: float
    max_second_face_score: float | None


class Pack(Section):
    """How images are stored."""

    side: Side
    quality: Percent
    margin: NotNegative
    shard_faces: Count


class Clean(Section):
    """When two images are duplicates, and which of their labels are used."""

    same_photo: OpenShare
    max_age_spread: NotNegative
    copies: Literal["one", "all"]


class Fold(Section):
    """The values of a published split that stand for each part, in one of its folds."""

    train: list[str | int]
    val: list[str | int]
    test: list[str | int]


class Published(Section):
    """A published split of a dataset."""

    file: str
    picture: str = "img_path"
    part: str = "folder"
    folds: list[Fold]


class Split(Section):
    """Shares of the parts; the rest is for training."""

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
    """Limits on the compute of training and search."""

    epochs: Count
    trials: Whole
    trial_epochs: Count
    train_minutes: Positive | None
    tune_minutes: Positive | None
    precision: Literal["auto", "float32", "bfloat16"]
    train: dict[str, Any] = {}  # older runs lack this key and the next
    options: dict[str, dict[str, Any]] = {}


class Budgets(Section):
    """One budget for each source kind."""

    sample: Budget
    real: Budget


class Range(Section):
    """The values that the search may try for one parameter."""

    min: float
    max: float
    sampling: Literal["linear", "log"] = "linear"
    step: Positive | None = None


class Tune(Section):
    """The hyperparameter search."""

    seed: Whole
    method: Literal["bayesian", "random"]
    least_gain: NotNegative
    together: Count = 1  # older runs lack this key and the next
    give_up: Count | None = None
    space: dict[str, Range]


class Augment(Section):
    """Augmentation of training images."""

    flip: bool
    rotate: NotNegative
    zoom: list[Positive]
    shift: Share
    brightness: Share
    contrast: Share
    colour: Share
    grey: Share
    erase: Share
    mix: NotNegative = 0.0  # older runs lack this key
    settle: Share = 0.0  # older runs lack this key


class Train(Section):
    """Training settings."""

    seed: Whole
    threads: Count
    replicas: Count = 1  # older runs lack this key
    image_size: Side
    crop: Side | None = None  # older runs lack this key
    growing: list[Side] = []  # older runs lack this key
    batch_size: Count
    optimizer: Literal["adamw", "muon"] = "adamw"  # older runs lack this key
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
    zoom: Positive = 1.0  # older runs lack this key
    label_smoothing: dict[str, Fraction]
    augment: Augment


class Calibrate(Section):
    """Coverage of the conformal age intervals."""

    confidence: OpenShare


class Evaluate(Section):
    """Confidence intervals, and the smallest group that is scored."""

    min_n: Count
    resamples: BootstrapSamples
    confidence: OpenShare
    seed: Whole


class Gate(Section):
    """Tolerances and limits of the gate."""

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
    lessons: dict[str, TeacherSet]
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


def schema_fault(detail: dict) -> Fault:
    """One pydantic error as a fault."""
    key = tuple(str(part) for part in detail["loc"])
    value, kind = detail["input"], detail["type"]
    if kind == "missing":
        return key, "is missing"
    if kind == "extra_forbidden":
        return key, "is not a known key"
    if kind == "value_error":
        return key, f"{value!r} {detail['ctx']['error']}"
    if kind == "literal_error":
        return key, f"{value!r} is not one of {detail['ctx']['expected']}"
    return key, f"{value!r} is not usable: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def teacher_row(row: dict[str, Any]) -> Model:
    """A teacher as a row of models, trained on labels alone."""
    return Model.model_validate({"lesson": "none"} | row)


def teachers(teacher_set: TeacherSet) -> dict[str, list[Model]]:
    """Teachers as rows of models, by round; assistants too, if any."""
    return {kind: [teacher_row(row) for row in rows] for kind, rows in teacher_set.rounds.items() if rows}
