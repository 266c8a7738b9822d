"""The card of a model, every number from the files of the pipeline."""

import hashlib
from pathlib import Path

import pandas as pd

from faces import params, scores, targets
from faces.data import packs, provenance, records
from faces.reporting import cards, facts

SEEN = {"full": "full pictures", "cropped": "cropped pictures", "found": "faces found in the full pictures"}


def model_card(name: str, row: params.Model, p: params.Params) -> str:
    """The card of a model."""
    about = facts.load(f"data/models/{name}/model.json")
    noted = provenance.read(row.dataset, row.variant)
    numbers = facts.load(f"reports/models/{name}/metrics.json").get("test", {})
    found = facts.load(f"reports/models/{name}/summary.json")
    probe = facts.load(f"reports/audits/{row.dataset}/summary.json")["models"][name]
    by_group = records.read(f"reports/models/{name}/subgroups.csv")
    registered = provenance.store_name(row.dataset, noted)
    score_table = records.read(f"reports/models/{name}/scores.csv")
    split = records.read(f"data/splits/{row.dataset}.csv")
    pack = packs.Pack(f"data/packs/{row.dataset}/{row.variant}")
    faces = split["part"][pack.rows(split["face_id"]) >= 0].value_counts()
    drawn = cards.resampled(records.read(f"data/evaluated/{name}/predictions.csv")["group"])
    fitted = facts.load(f"data/calibrated/{name}/calibration.json")
    digest = hashlib.sha256(Path(f"data/splits/{row.dataset}.csv").read_bytes()).hexdigest()
    called = registered.removeprefix("faces-")
    data = cards.model_data(name, about, called, digest, numbers, noted["licence"])
    recipe = about["recipe"]
    begun = start(row, recipe["train"], len(p.lessons[row.lesson].teachers))
    transfer = pd.read_csv(f"reports/audits/{row.dataset}/cross_dataset.csv").query("model == @name")
    lines = [f"# {name}", "", *facts.quotes(noted)]
    lines += [
        f"Tells {', '.join(row.targets)} from a face. A {row.network} network of {about['parameters']:,} parameters, "
        f"{begun} on {faces['train']:,.0f} {SEEN[row.variant]} of {row.dataset} with Keras, for "
        f"pictures of {about['image_size']} x {about['image_size']} pixels, exported as ONNX.",
        "",
        f"**Intended use.** {cards.INTENDED}",
        "",
        f"**Unfit.** {cards.UNFIT}",
        "",
        "## Scores",
        "",
        f"On {faces.get('test', 0):,} test faces of {row.dataset}. Copies of one photo, and photos of one known "
        "person, are never on both sides. It was chosen on validation; test faces stop a worse model, and choose none. "
        f"Intervals of {p.evaluate.confidence:.0%} are by bootstrap over {drawn}, {p.evaluate.resamples:,} resamples. "
        "MAE is of the median of the age distribution, RMSE of its mean, in years.",
        "",
        cards.score_rows(score_table),
        "",
        "## For whom it works",
        "",
        "Worst groups of at least " + f"{p.evaluate.min_n} test faces:",
        "",
        *cards.worst(found),
        "",
    ]
    for by in [key for key in targets.TARGETS if key in set(by_group["by"])]:
        lines += [f"By {by}:", "", cards.groups(by_group, by), ""]
    lines += [
        "The largest gaps, as they are and between faces of equal age (each decade weighing alike in both groups; only "
        "where every group has faces of it). Their intervals allow for both groups having been picked by these faces:",
        "",
        cards.gaps(records.read(f"reports/models/{name}/gaps.csv")),
        "",
        "## How far its doubts can be believed",
        "",
        "An age comes with an interval (conformal), a class with its probability (tempered), both fitted to faces that "
        "neither training, stopping, search nor gate has seen: "
        + ", ".join(f"{fit['n']} for {key}" for key, fit in fitted.items())
        + ".",
        "",
        *cards.calibration(found),
        "",
        "## Elsewhere",
        "",
    ]
    if len(transfer):
        shown = [
            {"dataset": r["dataset"], "score": f"{r['target']} {r['score']}", "faces": int(r["n"]),
             "value [interval]": cards.interval(r, scores.digits(r["score"]))}
            for r in transfer.to_dict("records")
        ]  # fmt: skip
        lines += ["On the test faces of datasets that it did not learn from:", "", cards.markdown(shown), ""]
    else:
        lines += ["There is no other dataset in use that it could be tested on.", ""]
    lines += [
        "## Limits",
        "",
        f"- Leaks: of {probe['test_faces']} test faces, {probe['leaked']} have their photo in another part "
        f"(looked for by {' and '.join(probe['looked_for_by'])} among {probe['other_faces']} faces, judged by pixels; "
        f"the most alike of the others correlate by {probe['closest']:.2f}). " + cards.without(probe),
        *facts.floors(row.dataset),
        f"- Labels: {facts.labels_of(row.dataset, p)}",
        *(
            []
            if drawn == "people"
            else [
                "- People: nothing says whose faces these are, so that somebody may be in training and in test with "
                "two photos, and intervals count them as two."
            ]
        ),
        "- Groups of few faces have no score here, and nothing is known of them.",
        "",
        "## Where it comes from",
        "",
        f"Registered as `{registered}` where it is the best of its dataset on validation. `make lineage "
        f"MODEL=models:/{registered}@champion` tells commit, params, archives and machine; `make reproduce` makes it "
        "again. Pictures: " + noted["licence"] + ".",
        "",
        "| archive | bytes | sha256 |",
        "| --- | --- | --- |",
        *(f"| {a['name']} | {a['size']:,} | {a['sha256']} |" for a in noted["archives"]),
        "",
        f"Trained for {recipe['budget']['epochs']} epochs at most, of which epoch {about['best_epoch'] + 1} was kept: "
        f"batches of {recipe['train']['batch_size']}, learning rate {recipe['train']['learning_rate']}, seed "
        f"{recipe['train']['seed']}.",
    ]
    return cards.page(data, lines)


def start(row: params.Model, settings: dict, count: int) -> str:
    """How a model began, and who taught it, in words. settings: `train` of its recipe; count: of its teachers."""
    weights = row.options.get("weights")
    begun = f"trained from the weights {weights}" if weights else "trained from scratch"
    if not count:
        return begun
    teachers = "teachers" if count > 1 else "teacher"
    return f"{begun}, {settings['lesson']:.0%} of it by what {count} {teachers} of the same faces say (distillation),"
