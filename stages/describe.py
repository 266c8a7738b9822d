"""Write a card for every model and dataset, no number typed by hand: reports/ and data/ -> reports/cards/."""

import json
from pathlib import Path

import pandas as pd

from stages.lib import (
    cards,
    datasets,
    lineage,
    packs,
    params,
    progress,
    provenance,
    records,
    rounding,
    running,
    targets,
)

OWN_LABELS = "Those of the owner's table."
SEEN = {"full": "full pictures", "cropped": "cropped pictures", "found": "faces found in the full pictures"}
CLOSE = 2  # bits of the perceptual hash
DRAWN_LABELS = "What the faces were drawn with; some were made to contradict their copies, as those of photos do."


def main() -> None:
    """Write reports/cards/models/MODEL.md and reports/cards/datasets/DATASET.md."""
    p = params.load()
    out = Path("reports/cards")
    for kind in ("models", "datasets"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    for name, row in p.models.items():
        (out / "models" / f"{name}.md").write_text(model_card(name, row, p))
    for name in p.datasets:
        (out / "datasets" / f"{name}.md").write_text(dataset_card(name, p))
    progress.say(f"{len(p.models)} cards of models and {len(p.datasets)} of datasets: {out}")


def model_card(name: str, row: params.Model, p: params.Params) -> str:
    """The card of a model."""
    about = load(f"data/models/{name}/model.json")
    noted = provenance.read(row.dataset, row.variant)
    numbers = load(f"reports/models/{name}/metrics.json").get("test", {})
    found = load(f"reports/groups/{name}/summary.json")
    probe = load(f"reports/probes/{name}/summary.json")
    by_group = records.read(f"reports/groups/{name}/groups.csv").fillna({"by": ""})
    registered = provenance.store_name(row.dataset, noted)
    scores = records.read(f"reports/models/{name}/scores.csv")
    split = records.read(f"data/splits/{row.dataset}.csv")
    pack = packs.Pack(f"data/packs/{row.dataset}/{row.variant}")
    faces = split["part"][pack.rows(split["face_id"]) >= 0].value_counts()
    drawn = cards.resampled(records.read(f"data/evaluated/{name}/predictions.csv")["group"])
    fitted = load(f"data/calibrated/{name}/calibration.json")
    digest = lineage.digest(f"data/splits/{row.dataset}.csv")
    called = registered.removeprefix("faces-")
    data = cards.model_data(name, about, called, digest, numbers, noted["licence"])
    recipe = about["recipe"]
    begun = start(row, recipe["train"], len(p.lessons[row.lesson].teachers))
    transfer = pd.read_csv(f"reports/probes/{name}/transfer.csv")
    lines = [f"# {name}", "", *quotes(noted)]
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
        cards.scores(scores),
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
        cards.gaps(records.read(f"reports/groups/{name}/gaps.csv")),
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
             "value [interval]": cards.interval(r, rounding.digits(r["score"]))}
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
        *floors(row.dataset),
        f"- Labels: {labels_of(row.dataset, p)}",
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


def dataset_card(name: str, p: params.Params) -> str:
    """The card of a dataset, as the pipeline found it."""
    variants = {row.variant: row for row in p.variants.values() if row.dataset == name}
    noted = {variant: provenance.read(name, variant) for variant in variants}
    one = noted["cropped"]
    found, split = load(f"data/clean/{name}/summary.json"), load(f"data/splits/{name}-balance.json")
    audit = load(f"reports/audits/{name}/summary.json")
    home = datasets.find(variants["cropped"].reader).HOME
    drawn = "drawn in the layout of " if one["kind"] == "sample" else "from "
    origin = f", {drawn}{home}" if home else ""
    title = provenance.store_name(name, one).removeprefix("faces-")
    labelled = [row["by"] for row in split["balance"]]
    lines = [f"# {title}", "", *quotes(*noted.values())]
    lines += [
        f"{found['kept']:,} faces of {found['records']:,} records{origin}.",
        "",
        f"**Licence.** {one['licence'][0].upper()}{one['licence'][1:]}.",
        "",
        f"**Labels.** {labels_of(name, p)}",
        "",
        f"**Intended use.** {cards.INTENDED}",
        "",
        f"**Unfit.** {cards.UNFIT}",
        "",
        "## Archives",
        "",
        "| variant | archive | bytes | sha256 | as published |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {variant} | {a['name']} | {a['size']:,} | {a['sha256']} | {published(a)} |"
          for variant, row in noted.items() for a in row["archives"]),
        "",
        "## What was left out",
        "",
        cards.markdown([{"reason": k, "records": f"{v:,}"} for k, v in found["rejected"].items()]),
        "",
        f"Every row with its reason is in `data/clean/{name}/rejects.csv`.",
        "",
        "## Parts",
        "",
        cards.markdown([{part: f"{n:,}" for part, n in split["faces"].items()}]),
        "",
    ]  # fmt: skip
    for row in split["balance"]:
        counts = [{row["by"]: label, **{part: f"{n:,}" for part, n in by_part.items()}}
                  for label, by_part in row["counts"].items()]  # fmt: skip
        lines += [cards.markdown(counts), ""]
    lines += ["## What is wrong with it", "", *floors(name)]
    near = audit["hash_neighbours"]
    lines += [
        "- Near-copies: all pictures were compared with each other, mirrored too, and those whose fine detail "
        f"correlates by {p.clean.same_photo:g} or more count as one photo. As another witness, the perceptual hash of "
        f"{sum(v for bits, v in near.items() if int(bits) <= CLOSE)} test faces is within {CLOSE} bits of 63 of that "
        "of a face of another part; most of those that are left are strangers who look alike.",
    ]
    for target, row in audit["doubts"].items():
        lines += [
            f"- {target}: of {row['faces']} labels that the models did not learn from, all models confidently "
            f"contradict {row['contradicted']}. They are wrong often enough themselves: these are labels to look at "
            f"first (`data/audits/{name}/doubts.csv`)."
        ]
    lines += [f"- {n} of its pictures stand in {other}, too." for other, n in audit["shared"].items()]
    return cards.page(cards.dataset_data(title, found["kept"], labelled, one["licence"]), lines)


def published(archive: dict) -> str:
    """Whether an archive is the published one, in a word."""
    return {True: "yes", False: "no", None: "no checksum is published"}[archive["official"]]


def labels_of(dataset: str, p: params.Params) -> str:
    """What the labels of a dataset are."""
    reader = next(row.reader for row in p.variants.values() if row.dataset == dataset)
    if provenance.read(dataset, "cropped")["kind"] == "sample":
        return DRAWN_LABELS
    return getattr(datasets.find(reader), "LABELS", OWN_LABELS)


def floors(dataset: str) -> list[str]:
    """Lines on how far the labels of one photo lie apart."""
    found = load(f"reports/audits/{dataset}/summary.json")["copies"]
    lines = []
    for name, target in targets.TARGETS.items():
        if f"{name}_floor" not in found:
            continue
        floor, count = found[f"{name}_floor"], found[f"{name}_pictures"]
        if target.kind == "years":
            lines += [
                f"- Copies in {dataset} disagree: two {name} labels of one photo differ by "
                f"{found[f'{name}_mean_difference']:.1f} years in the mean ({count} pictures), so that no model can "
                f"have an MAE below {floor:.2f} years against these labels. (In the parts, such a photo stands once, "
                "with the median of its labels, or with none where they are far apart.)"
            ]
        else:
            lines += [f"- {name}: at least {floor:.1%} of the labels of {count} pictures with copies are wrong, since "
                      "copies contradict each other"]  # fmt: skip
    return lines


def quotes(*noted: dict) -> list[str]:
    """What a reader must know about the pictures, as quotes."""
    texts = dict.fromkeys(text for row in noted for text in provenance.warnings(row))
    return [line for text in texts for line in (f"> **{text}**", "")]


def load(path: str) -> dict:
    """Read a JSON file."""
    return json.loads(Path(path).read_text())


if __name__ == "__main__":
    running.stage(main)
