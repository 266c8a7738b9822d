"""The keys of params.yaml, their types and legal values."""

import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import ErrorDetails, PydanticCustomError

Key = tuple[str, ...]  # ("train", "batch_size")
Fault = tuple[Key, str]  # a key and what is wrong with it
PARTS = ("train", "val", "calibration", "test")  # of a split
NO_TEACHERS = "none"  # of a model that is trained on labels alone
NO_START = "pretrained/none"  # a start_from: new weights
OF_A_START = ("loaded_learning_rate", "freeze", "check_start")  # keys of train that only another start_from needs
VariantName = Literal["cropped", "detected", "full"]


Count = Annotated[int, Field(gt=0, description="a positive whole number")]
Whole = Annotated[int, Field(ge=0, description="a whole number of 0 or more")]
Seed = Annotated[int, Field(ge=0, lt=2**31, description="a whole number from 0 to 2147483647")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, description="a positive number")]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, description="a number of 0 or more")]
Margin = Annotated[float, Field(ge=0, le=10, description="a number from 0 to 10")]
Angle = Annotated[float, Field(ge=0, le=180, description="a number from 0 to 180")]
Share = Annotated[float, Field(ge=0, le=1, description="a share between 0 and 1")]
Fraction = Annotated[float, Field(ge=0, lt=1, description="a share of 0 or more and below 1")]
OpenShare = Annotated[float, Field(gt=0, lt=1, description="a share above 0 and below 1")]
Percent = Annotated[int, Field(ge=1, le=100, description="a whole number from 1 to 100")]
SampleSize = Annotated[int, Field(ge=200, description="a whole number of 200 or more")]
BootstrapSamples = Annotated[int, Field(ge=1000, description="a whole number of 1000 or more, for small p-values")]
Side = Annotated[int, Field(ge=32, le=1024, description="a whole number from 32 to 1024")]
OLDEST = 124
Years = Annotated[int, Field(ge=0, le=OLDEST, description=f"a whole number from 0 to {OLDEST}")]
FilePath = Annotated[str, AfterValidator(os.path.expanduser), Field(description="a path, in which ~ is your home")]
Box = Annotated[list[str], Field(min_length=4, max_length=4, description="the names of four columns")]
Age = Annotated[Any, AfterValidator(lambda value: _age(value)), Field(description="years, or [first, last] year")]
Codes = BeforeValidator(lambda value: {str(k): v for k, v in value.items()} if isinstance(value, dict) else value)


class Section(BaseModel):
    """A section of params.yaml: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Data(Section):
    """The source of the archives."""

    source: FilePath
    simulated: bool
    in_place: bool


class Sample(Section):
    """The generated sample of synthetic faces."""

    faces: SampleSize
    seed: Seed


class Variant(Section):
    """One DATASET-VARIANT: what is downloaded and packed.

    dataset: a row of datasets
    variant: whole photos, published crops, or crops by the face detector
    reader: a module of faces/data/datasets
    images: folder or archive of the images of a table; null: data.source
    crop: of a table's images; detect: find and frame the face, none: each is one face, null: what they look like
    """

    dataset: str
    variant: VariantName
    reader: str
    images: FilePath | None = None
    crop: Literal["detect", "none"] | None = None


class Columns(Section):
    """Names of a table's columns, of each target too; None if it has no such column.

    image: column of the image's path
    identity: column that says who is in the image
    split: column of the part: train, val, calibration or test
    box: columns of the face's box, in pixels from the left and the top: left, top, right, bottom
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)  # targets, which checks.py knows

    image: str | None = None
    identity: str | None = None
    split: str | None = None
    box: Box | None = None


class Table(Section):
    """A table of the user's own labels.

    labels: path of the CSV or Parquet file, without ~
    classes: by target, the class of each value of the file; by `split`, the part
    box_is: of the columns of the box: size: left, top, width, height; corners or null: left, top, right, bottom
    ages: of each value of the file that is no number of years, the age in years, or the [first, last] year of its bin
    """

    labels: str
    columns: Columns
    classes: dict[str, Annotated[dict[str, str], Codes]] = {}
    box_is: Literal["corners", "size"] | None = None
    ages: Annotated[dict[str, Age], Codes] = {}


class Model(Section):
    """One row of models, which train@MODEL trains.

    dataset: a row of datasets
    network: a module of faces/networks
    options: further arguments of the network's build
    targets: rows of faces/targets.py
    teachers: a row of teachers, or none
    start_from: folder of the model whose weights training starts from, or pretrained/none
    seed: null: that of the file
    train: what differs from the section train
    budget: what differs from the budget in use
    """

    dataset: str
    variant: VariantName
    network: str
    options: dict[str, Any] = {}
    targets: list[str]
    teachers: str
    start_from: str
    seed: Seed | None = None
    train: dict[str, Any] = {}
    budget: dict[str, Any] = {}


class TeacherSet(Section):
    """Teachers for one dataset: rows of models that share dataset, variant and network, trained on labels alone.

    Assistants are distilled from the teachers, and their predictions replace those of the teachers (Mirzadeh et al.
    2020, "Improved knowledge distillation via teacher assistant"; here of the same size, as in Furlanello et al. 2018,
    "Born again neural networks").

    dataset: of all of them
    network: a module of faces/networks
    models: the teachers, written like rows of models without dataset, variant, network and teachers
    assistants: models that learn from the teachers and predict in their place
    out_of_fold: true: each teacher leaves out its share of the faces, and predicts only those
    """

    dataset: str
    variant: VariantName
    network: str
    models: list[dict[str, Any]]
    assistants: list[dict[str, Any]] = []
    out_of_fold: bool | None = None

    @property
    def rounds(self) -> dict[str, list[dict[str, Any]]]:
        """Rounds of training, in order; every round but the first is distilled from the one before it."""
        return {"models": self.models, "assistants": self.assistants}


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
    margin: Margin
    shard_faces: Count


class Clean(Section):
    """When two images are duplicates, and which of their labels are used."""

    duplicate_correlation: OpenShare
    max_age_spread: NotNegative
    deduplicate: bool


class Fold(Section):
    """The values of a published split that stand for each part, in one of its folds.

    train: values of that column
    val: values of that column
    test: values of that column
    """

    train: list[str | int | float]
    val: list[str | int | float]
    test: list[str | int | float]


class Published(Section):
    """A published split of a dataset.

    file: path of its table
    image: column of the image's name
    part: column of the part
    """

    file: FilePath
    image: str
    part: str
    folds: list[Fold]


class Split(Section):
    """Shares of the parts; the rest is for training."""

    seed: Seed
    by: Literal["group", "face"]
    val: OpenShare
    test: OpenShare
    calibration: Fraction
    ages: list[Years]
    folds: Count
    fold: Whole
    from_: dict[str, Published] = Field(alias="from")


class Budget(Section):
    """Limits on the compute of training and search."""

    epochs: Count
    trials: Whole
    trial_epochs: Count
    train_minutes: Positive | None
    tune_minutes: Positive | None
    precision: Literal["auto", "float32", "bfloat16"]
    train: dict[str, Any]
    options: dict[str, dict[str, Any]]


class Range(Section):
    """The values that the search may try for one parameter.

    min: smallest value
    max: largest value
    sampling: how values are spread
    step: distance of the values of a grid
    """

    min: float
    max: float
    sampling: Literal["linear", "log"]
    step: Positive | None = None


class Tune(Section):
    """The hyperparameter search."""

    seed: Seed
    method: Literal["bayesian", "random"]
    min_improvement: NotNegative
    parallel_trials: Count
    median_stopping_after: Count | None
    space: dict[str, Range]


class Augment(Section):
    """Augmentation of training images."""

    flip: bool
    rotate: Angle
    zoom: list[Positive]
    shift: Share
    brightness: Share
    contrast: Share
    colour: Share
    grayscale: Share
    random_erasing: Share
    mixup_alpha: NotNegative
    weak_final_fraction: Share


class Train(Section):
    """Training settings, but for the seed."""

    threads: Count
    replicas: Count
    image_size: Side
    crop: Side | None
    progressive_sizes: list[Side]
    batch_size: Count
    optimizer: Literal["adamw", "muon"]
    learning_rate: Positive
    warmup: Fraction
    weight_decay: NotNegative
    dropout: Fraction
    age_sigma: Positive
    age_l1: NotNegative
    ema_epochs: NotNegative
    loaded_learning_rate: Positive
    freeze: bool
    check_start: bool
    balance: Literal["none", "weights", "undersample"]
    monitor: str
    patience: Count
    loss_weights: dict[str, NotNegative]
    label_weight_power: dict[str, NotNegative]
    distillation_weight: Share
    tta_flip: bool
    zoom: Positive
    label_smoothing: dict[str, Fraction]
    augment: Augment


class Settings(Train):
    """Training settings of one model: `train` with the overrides of its budget and row, and its seed."""

    seed: Seed


class Calibrate(Section):
    """Coverage of the conformal age intervals."""

    confidence: OpenShare


class Evaluate(Section):
    """Confidence intervals, and the smallest group that is scored."""

    min_group_size: Count
    bootstrap_samples: BootstrapSamples
    confidence: OpenShare
    seed: Seed


class Gate(Section):
    """Tolerances and limits of the gate."""

    tolerance_sd: NotNegative
    tolerance_years: NotNegative
    tolerance_accuracy: Share
    limits: dict[str, dict[str, dict[str, float]]]


class Report(Section):
    """What the reports warn of."""

    max_left_out: Share


class Register(Section):
    """How the registered model is chosen."""

    metric: str


class Params(Section):
    """The whole file."""

    data: Data
    sample: Sample
    seed: Seed
    datasets: list[str]
    tables: dict[str, Table]
    variants: dict[str, Variant]
    teachers: dict[str, TeacherSet]
    models: dict[str, Model]
    parse_labels: ParseLabels
    convert_mat: ConvertMat
    pack: Pack
    clean: Clean
    split: Split
    budget: str
    budgets: dict[str, Budget]
    tune: Tune
    train: Train
    calibrate: Calibrate
    evaluate: Evaluate
    gate: Gate
    report: Report
    register_: Register = Field(alias="register")


def schema_fault(detail: ErrorDetails) -> Fault:
    """One pydantic error as a fault."""
    value, context, message = detail["input"], detail.get("ctx", {}), detail["msg"]
    texts = {
        "missing": "is missing",
        "extra_forbidden": "is not a known key",
        "literal_error": f"{value!r} is not one of {context.get('expected')}",
    }
    text = texts.get(detail["type"], f"{value!r} is not usable: {message[0].lower()}{message[1:]}")
    return tuple(str(part) for part in detail["loc"]), text


def _age(value: Any) -> float | list[int]:
    """Check an age of a table: years, or the first and the last year of a bin."""
    ends = value if isinstance(value, list) and len(value) == 2 else [value, value]
    kind = int if ends is value else int | float
    if all(isinstance(end, kind) and not isinstance(end, bool) for end in ends) and 0 <= ends[0] <= ends[1] <= OLDEST:
        return value
    raise PydanticCustomError("age", f"needs years, 0 to {OLDEST}, or the [first, last] year of a bin")


def teacher_row(teacher_set: TeacherSet, row: dict[str, Any]) -> Model:
    """A teacher as a row of models, trained on labels alone."""
    shared = {key: getattr(teacher_set, key) for key in ("dataset", "variant", "network")}
    return Model.model_validate({**shared, "teachers": NO_TEACHERS, "start_from": NO_START, **row})


def teacher_rows(teacher_set: TeacherSet) -> dict[str, list[Model]]:
    """Teachers as rows of models, by round; assistants too, if any."""
    return {kind: [teacher_row(teacher_set, row) for row in rows] for kind, rows in teacher_set.rounds.items() if rows}
