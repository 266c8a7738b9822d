"""The card of a model, from the files of the pipeline."""

import hashlib
from pathlib import Path

import pandas as pd

from faces import params, targets
from faces.data import packs, provenance, records
from faces.reporting import cards, markdown, score_sections
from faces.reporting.dataset_card import label_noise, label_source

INPUTS = {"full": "whole photos", "cropped": "cropped faces", "detected": "faces detected in whole photos"}


def model_card(name: str, row: params.Model, p: params.Params) -> str:
    """The card of a model."""
    tables = Path("reports/models") / name
    about = records.read_json(f"data/models/{name}/model.json")
    source = provenance.read(row.dataset, row.variant)
    summary = records.read_json(tables / "summary.json")
    audit = records.read_json(f"reports/audits/{row.dataset}/summary.json")
    leaks = audit["models"][name]
    by_group = records.read(tables / "subgroups.csv")
    split = records.read(f"data/splits/{row.dataset}.csv")
    pack = packs.Pack(f"data/packs/{row.dataset}/{row.variant}")
    faces = split["part"][pack.rows(split["face_id"]) >= 0].value_counts()
    unit = score_sections.resampled_units(records.read(f"data/evaluated/{name}/predictions.csv")["group"])
    calibrated = records.read_json(f"data/calibrated/{name}/calibration.json")
    other = pd.read_csv(f"reports/audits/{row.dataset}/cross_dataset.csv").query("model == @name")
    registered = provenance.store_name(row.dataset, source)
    recipe = about["recipe"]
    teachers = len(p.teachers[row.teachers].models) if row.teachers in p.teachers else 0
    lines = [
        f"# {name}",
        "",
        *markdown.quotes(provenance.warnings(source)),
        f"Estimates {', '.join(row.targets)} from a face. A {row.network} network of {about['parameters']:,} "
        "parameters, "
        f"{start(row, recipe['train'], teachers)} on {faces['train']:,.0f} "
        f"{INPUTS[row.variant]} of {row.dataset} with Keras. It takes images of {about['image_size']} x "
        f"{about['image_size']} pixels, and is exported as ONNX.",
        "",
        f"**Intended use.** {cards.INTENDED}",
        "",
        f"**Out-of-scope use.** {cards.OUT_OF_SCOPE}",
        "",
        "## Scores",
        "",
        f"On {faces.get('test', 0):,} test faces of {row.dataset}. Duplicates of one photo, and photos of one known "
        "person, are in one part of the split. The model was chosen on validation faces; test faces can only reject "
        "it. "
        f"Intervals of {p.evaluate.confidence:.0%} are by bootstrap over {unit}, {p.evaluate.bootstrap_samples:,} "
        "samples. MAE is of the median of the age distribution, RMSE of its mean, in years.",
        "",
        score_sections.scores_on_test(records.read(tables / "scores.csv")),
        "",
        "## Subgroups",
        "",
        f"Worst groups of at least {p.evaluate.min_group_size} test faces:",
        "",
        *score_sections.worst(summary),
        "",
    ]
    for by in [key for key in targets.TARGETS if key in set(by_group["by"])]:
        lines += [f"By {by}:", "", score_sections.groups(by_group, by), ""]
    lines += [
        "The largest gaps, as they are and at equal ages (each decade has the same weight in both groups; only decades "
        "that every group has). The intervals account for the choice of both groups by the same faces:",
        "",
        score_sections.gaps(records.read(tables / "gaps.csv")),
        "",
        "## Calibration",
        "",
        "Age intervals (conformal) and class probabilities (temperature scaling) are fitted to the calibration faces, "
        "which training, early stopping, search and gate do not use: "
        + ", ".join(f"{fitted['n']} for {key}" for key, fitted in calibrated.items())
        + ".",
        "",
        *score_sections.calibration(summary),
        "",
        "## Cross-dataset evaluation",
        "",
    ]
    if len(other):
        lines += ["On test faces of datasets that it was not trained on:", "", score_sections.cross_dataset(other)]
    else:
        lines += ["No other dataset is in use."]
    lines += [
        "",
        "## Limits",
        "",
        f"- Leaks: of {leaks['test_faces']} test faces, {leaks['leaked']} have their photo in another part, too "
        f"(candidates by {' and '.join(leaks['looked_for_by'])} among {leaks['other_faces']} faces, decided by pixels; "
        f"the highest correlation of the others is {leaks['closest']:.2f}). " + score_sections.without_leaks(leaks),
        *label_noise(row.dataset, audit["duplicates"]),
        f"- Labels: {label_source(row.dataset, p)}",
    ]
    if unit != "people":
        lines += [
            "- People: the dataset does not say who is in a photo. Two photos of one person may be in training and in "
            "test, and intervals count them as two people."
        ]
    lines += [
        "- Small groups have no score, so nothing is known about them.",
        "",
        "## Origin",
        "",
        f"Registered as `{registered}` if it is the best model of its dataset on validation. `make lineage "
        f"MODEL=models:/{registered}@champion` shows commit, params, archives and machine; `make reproduce` makes it "
        "again. Images: " + source["licence"] + ".",
        "",
        "| archive | bytes | sha256 |",
        "| --- | --- | --- |",
        *(f"| {archive['name']} | {archive['size']:,} | {archive['sha256']} |" for archive in source["archives"]),
        "",
        f"Trained for at most {recipe['budget']['epochs']} epochs; epoch {about['best_epoch'] + 1} was kept: "
        f"batches of {recipe['train']['batch_size']}, learning rate {recipe['train']['learning_rate']}, seed "
        f"{recipe['seed']}.",
    ]
    numbers = records.read_json(tables / "metrics.json").get("test", {})
    digest = hashlib.sha256(Path(f"data/splits/{row.dataset}.csv").read_bytes()).hexdigest()
    data = cards.model_data(name, about, registered.removeprefix("faces-"), digest, numbers, source["licence"])
    return cards.page(data, lines)


def start(row: params.Model, settings: dict, teachers: int) -> str:
    """Initial weights and distillation of a model, in words. settings: `train` of its recipe; teachers: how many."""
    weights = row.options.get("weights")
    begun = f"trained from the weights {weights}" if weights else "trained from scratch"
    if not teachers:
        return begun
    counted = f"{teachers} teacher{'s' * (teachers > 1)}"
    return (
        f"{begun}, distilled with a weight of {settings['distillation_weight']:.0%} from {counted} of the same faces,"
    )
