"""The card of a model, from the files of the pipeline (Mitchell et al. 2019, "Model cards for model reporting")."""

import hashlib
from pathlib import Path

import pandas as pd

from faces import params, scores, targets
from faces.data import datasets, packs, provenance, records
from faces.evaluation import predictions
from faces.reporting import cards, markdown, score_sections
from faces.reporting.dataset_card import label_noise, label_source

INPUTS = {"full": "whole photos", "cropped": "cropped faces", "detected": "faces detected in whole photos"}
BINS = "- Ages: some labels are bins of years. Each counts as the middle of its bin, and so do the errors."
NAMELESS = (
    "- People: the dataset does not say who is in a photo, so two photos of one person may be in training and in test. "
    "Intervals count them as two people."
)


def model_card(name: str, row: params.Model, p: params.Params) -> str:
    """The card of a model."""
    tables = Path("reports/models") / name
    about = records.read_json(f"data/models/{name}/model.json")
    source = provenance.read(row.dataset, row.variant)
    summary = records.read_json(tables / "summary.json")
    audit = records.read_json(f"reports/audits/{row.dataset}/summary.json")
    by_group = records.read(tables / "subgroups.csv")
    axes = [name for name in targets.TARGETS if name in set(by_group["by"])]
    split_file = Path(f"data/splits/{row.dataset}.csv")
    split = records.read(split_file)
    pack = packs.Pack(f"data/packs/{row.dataset}/{row.variant}")
    faces = split["part"][pack.rows(split["face_id"]) >= 0].value_counts()
    unit = score_sections.resampled_units(records.read(f"data/evaluated/{name}/predictions.csv")["group"])
    calibration = records.read_json(f"data/calibrated/{name}/calibration.json")
    calibrated = ", ".join(f"{fitted['n']} for {key}" for key, fitted in calibration.items())
    test = records.read(tables / "scores.csv").query("part == 'test' and group == ''")
    other = pd.read_csv(f"reports/audits/{row.dataset}/cross_dataset.csv").query("model == @name")
    registered = provenance.store_name(row.dataset, source)
    recipe = about["recipe"]
    teachers = len(p.teachers[row.teachers].models) if row.teachers in p.teachers else 0
    lines = [
        f"# {name}",
        "",
        *markdown.quotes(provenance.warnings(source)),
        *score_sections.useless(summary),
        introduction(row, about, faces["train"], teachers),
        *started(about),
        "",
        f"**Intended use.** {cards.INTENDED}",
        "",
        f"**Out-of-scope use.** {cards.OUT_OF_SCOPE}",
        "",
        "## Scores",
        "",
        f"Measured on {faces.get('test', 0):,} test faces of {row.dataset}. All copies of a photo, and all photos of a "
        "known person, are in the same part of the split. The model was chosen on validation faces; test faces can "
        f"only reject it. The {p.evaluate.confidence:.0%} intervals are from {p.evaluate.bootstrap_samples:,} "
        f"bootstrap samples of {unit}. {score_sections.AGE_SCORES}",
        "",
        score_sections.interval_table(scores.select(test, "metrics"), ["target", "score"]),
        "",
        "## Subgroups",
        "",
        f"The worst groups of at least {p.evaluate.min_group_size} test faces. The intervals take into account that "
        "these groups were selected.",
        "",
        *score_sections.worst(summary),
        "",
        *(line for by in axes for line in (f"By {by}:", "", score_sections.groups(by_group, by), "")),
        "The largest gaps between groups, with ages as they are and with equal ages. For equal ages, each decade of "
        "age has the same weight in both groups, and only decades that all groups have are used. The intervals take "
        "into account that the two groups were selected on the same faces.",
        "",
        score_sections.gaps(records.read(tables / "gaps.csv")),
        "",
        "## Calibration",
        "",
        "Age intervals (conformal prediction) and class probabilities (temperature scaling) are fitted on calibration "
        f"faces: {calibrated}. Training, early stopping, search and gate do not use these faces.",
        "",
        *score_sections.calibration(summary),
        "",
        "## Cross-dataset evaluation",
        "",
        "On test faces of datasets that it was not trained on:" if len(other) else "No other dataset is in use.",
        "",
        *([score_sections.interval_table(other, ["dataset", "target", "score"]), ""] if len(other) else []),
        "## Limitations",
        "",
        f"- Leaks: {score_sections.leaks(audit['models'][name])}",
        *label_noise(audit["duplicates"]),
        f"- Labels: {label_source(row.dataset, p)}",
        *([BINS] if row.dataset in p.tables and any(map(is_bin, p.tables[row.dataset].ages.values())) else []),
        *([NAMELESS] if unit != "people" else []),
        f"- Small groups: a group of fewer than {p.evaluate.min_group_size} faces has no score, so nothing is known "
        "about it.",
        "",
        "## Training",
        "",
        f"Trained for at most {recipe['budget']['epochs']} epochs, of which epoch {about['best_epoch'] + 1} was kept, "
        f"with batches of {recipe['train']['batch_size']} faces, a learning rate of {recipe['train']['learning_rate']} "
        f"and seed {recipe['seed']}. It is registered as `{registered}` if it is the best model of its dataset on "
        f"validation faces. `make lineage MODEL=models:/{registered}@champion` prints its commit, params, archives and "
        f"machine; `make reproduce` trains it again. Licence of the images: {licences(source['licence'], about)}.",
        "",
        "| archive | bytes | sha256 |",
        "| --- | --- | --- |",
        *(f"| {archive['name']} | {archive['size']:,} | {archive['sha256']} |" for archive in source["archives"]),
    ]
    numbers = {key: scores.number(value, key) for key, value in predictions.scores(name).get("test", {}).items()}
    digest = hashlib.sha256(Path(f"data/splits/{row.dataset}.csv").read_bytes()).hexdigest()
    terms = licences(source["licence"], about)
    data = cards.model_data(name, about, registered.removeprefix("faces-"), digest, numbers, terms)
    return cards.page(data, lines)


def introduction(row: params.Model, about: dict, faces: int, teachers: int) -> str:
    """What a model is, in a paragraph. about: model.json; faces: how many it was trained on; teachers: how many."""
    weights, size = row.options.get("weights"), about["image_size"]
    start = f"{weights} weights" if weights else "the weights of another model" if about.get("start") else "scratch"
    text = (
        f"Estimates {', '.join(row.targets)} from a face. A {row.network} network of {about['parameters']:,} "
        f"parameters, trained with Keras from {start} on {faces:,} "
        f"{INPUTS[row.variant]} of {row.dataset}. It takes images of {size} x {size} pixels, and is exported as ONNX."
    )
    if teachers:
        weight = about["recipe"]["train"]["distillation_weight"]
        plural = "s" * (teachers > 1)
        text += f" It is distilled with a weight of {weight:.0%} from {teachers} teacher{plural} of the same faces."
    return text


def started(about: dict) -> list[str]:
    """A paragraph on the models that it started from, the nearest first; empty for a model from scratch."""
    if not about.get("start"):
        return []
    before = "; which started from ".join(
        f"`{start['name']}` (`{start['folder']}`), trained on {start['dataset']}" for start in cards.ancestors(about)
    )
    train, new = about["recipe"]["train"], about["start"]["new_heads"]
    heads = f" The heads of {' and '.join(new)} are new." if new else ""
    rate = f"learned with {train['loaded_learning_rate']:g} of the learning rate"
    learned = "did not change, but in the heads" if train["freeze"] else rate
    text = f"**Start.** It started from {before}.{heads} The loaded weights {learned}."
    if any(start["kind"] == "sample" for start in cards.ancestors(about)) and about["kind"] != "sample":
        text += " A model that it started from was trained on synthetic faces."
    return ["", text]


def licences(licence: str, about: dict) -> str:
    """Licence of a model's images, and those of the images of the models that it started from."""
    others = {start["dataset"]: licence_of(start["dataset"], start["kind"]) for start in cards.ancestors(about)}
    others.pop(about["dataset"], None)
    return "; ".join(
        [licence, *(f"of {name}, on which its start was trained: {text}" for name, text in others.items())]
    )


def licence_of(dataset: str, kind: str) -> str:
    """Licence of a dataset's images by its module; of one's own, that."""
    if kind == "sample":
        return "synthetic faces"
    try:
        return datasets.find(dataset).LICENCE
    except ModuleNotFoundError:
        return datasets.find("table").LICENCE


def is_bin(age: object) -> bool:
    """Whether an age of a table is the [first, last] year of a bin."""
    return isinstance(age, list)
