"""The card of a model, from the files of the pipeline."""

import hashlib
from pathlib import Path

import pandas as pd

from faces import params, targets
from faces.data import packs, provenance, records
from faces.reporting import cards, markdown, score_sections
from faces.reporting.dataset_card import label_noise, label_source

INPUTS = {"full": "full pictures", "cropped": "cropped pictures", "detected": "faces found in the full pictures"}


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
        f"Tells {', '.join(row.targets)} from a face. A {row.network} network of {about['parameters']:,} parameters, "
        f"{start(row, recipe['train'], teachers)} on {faces['train']:,.0f} "
        f"{INPUTS[row.variant]} of {row.dataset} with Keras, for "
        f"pictures of {about['image_size']} x {about['image_size']} pixels, exported as ONNX.",
        "",
        f"**Intended use.** {cards.INTENDED}",
        "",
        f"**Unfit.** {cards.OUT_OF_SCOPE}",
        "",
        "## Scores",
        "",
        f"On {faces.get('test', 0):,} test faces of {row.dataset}. Copies of one photo, and photos of one known "
        "person, are never on both sides. It was chosen on validation; test faces stop a worse model, and choose none. "
        f"Intervals of {p.evaluate.confidence:.0%} are by bootstrap over {unit}, {p.evaluate.bootstrap_samples:,} "
        "resamples. "
        "MAE is of the median of the age distribution, RMSE of its mean, in years.",
        "",
        score_sections.scores_on_test(records.read(tables / "scores.csv")),
        "",
        "## For whom it works",
        "",
        f"Worst groups of at least {p.evaluate.min_group_size} test faces:",
        "",
        *score_sections.worst(summary),
        "",
    ]
    for by in [key for key in targets.TARGETS if key in set(by_group["by"])]:
        lines += [f"By {by}:", "", score_sections.groups(by_group, by), ""]
    lines += [
        "The largest gaps, as they are and between faces of equal age (each decade weighing alike in both groups; only "
        "where every group has faces of it). Their intervals allow for both groups having been picked by these faces:",
        "",
        score_sections.gaps(records.read(tables / "gaps.csv")),
        "",
        "## How far its doubts can be believed",
        "",
        "An age comes with an interval (conformal), a class with its probability (tempered), both fitted to faces that "
        "neither training, stopping, search nor gate has seen: "
        + ", ".join(f"{fitted['n']} for {key}" for key, fitted in calibrated.items())
        + ".",
        "",
        *score_sections.calibration(summary),
        "",
        "## Elsewhere",
        "",
    ]
    if len(other):
        lines += ["On the test faces of datasets that it did not learn from:", "", score_sections.cross_dataset(other)]
    else:
        lines += ["There is no other dataset in use that it could be tested on."]
    lines += [
        "",
        "## Limits",
        "",
        f"- Leaks: of {leaks['test_faces']} test faces, {leaks['leaked']} have their photo in another part "
        f"(looked for by {' and '.join(leaks['looked_for_by'])} among {leaks['other_faces']} faces, judged by pixels; "
        f"the most alike of the others correlate by {leaks['closest']:.2f}). " + score_sections.without_leaks(leaks),
        *label_noise(row.dataset, audit["duplicates"]),
        f"- Labels: {label_source(row.dataset, p)}",
    ]
    if unit != "people":
        lines += [
            "- People: nothing says whose faces these are, so that somebody may be in training and in test with "
            "two photos, and intervals count them as two."
        ]
    lines += [
        "- Groups of few faces have no score here, and nothing is known of them.",
        "",
        "## Where it comes from",
        "",
        f"Registered as `{registered}` where it is the best of its dataset on validation. `make lineage "
        f"MODEL=models:/{registered}@champion` tells commit, params, archives and machine; `make reproduce` makes it "
        "again. Pictures: " + source["licence"] + ".",
        "",
        "| archive | bytes | sha256 |",
        "| --- | --- | --- |",
        *(f"| {archive['name']} | {archive['size']:,} | {archive['sha256']} |" for archive in source["archives"]),
        "",
        f"Trained for {recipe['budget']['epochs']} epochs at most, of which epoch {about['best_epoch'] + 1} was kept: "
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
        f"{begun}, {settings['distillation_weight']:.0%} of it by what {counted} of the same faces say (distillation),"
    )
