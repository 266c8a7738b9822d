"""The card of a dataset, from the files of the pipeline."""

from faces import params, targets
from faces.data import datasets, provenance, records
from faces.reporting import cards, markdown

NEAR = 2  # bits of the perceptual hash
OWN_LABELS = "Those of the owner's table."
SAMPLE_LABELS = "What the faces were drawn with; some were made to contradict their copies, as those of photos do."
PUBLISHED = {True: "yes", False: "no", None: "no checksum is published"}


def dataset_card(name: str, p: params.Params) -> str:
    """The card of a dataset."""
    variants = {row.variant: row for row in p.variants.values() if row.dataset == name}
    sources = {variant: provenance.read(name, variant) for variant in variants}
    source = sources["cropped"]
    clean = records.read_json(f"data/clean/{name}/summary.json")
    split = records.read_json(f"data/splits/{name}-balance.json")
    audit = records.read_json(f"reports/audits/{name}/summary.json")
    title = provenance.store_name(name, source).removeprefix("faces-")
    home = datasets.find(variants["cropped"].reader).HOME
    made = "drawn in the layout of " if source["kind"] == "sample" else "from "
    origin = f", {made}{home}" if home else ""
    lines = [
        f"# {title}",
        "",
        *markdown.quotes(text for row in sources.values() for text in provenance.warnings(row)),
        f"{clean['kept']:,} faces of {clean['records']:,} records{origin}.",
        "",
        f"**Licence.** {source['licence'][0].upper()}{source['licence'][1:]}.",
        "",
        f"**Labels.** {label_source(name, p)}",
        "",
        f"**Intended use.** {cards.INTENDED}",
        "",
        f"**Unfit.** {cards.OUT_OF_SCOPE}",
        "",
        "## Archives",
        "",
        "| variant | archive | bytes | sha256 | as published |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {variant} | {archive['name']} | {archive['size']:,} | {archive['sha256']} | {published(archive)} |"
            for variant, row in sources.items()
            for archive in row["archives"]
        ),
        "",
        "## What was left out",
        "",
        markdown.table([{"reason": reason, "records": f"{n:,}"} for reason, n in clean["rejected"].items()]),
        "",
        f"Every row with its reason is in `data/clean/{name}/rejects.csv`.",
        "",
        "## Parts",
        "",
        markdown.table([{part: f"{n:,}" for part, n in split["faces"].items()}]),
        "",
    ]
    for row in split["balance"]:
        counts = [{row["by"]: label, **{part: f"{n:,}" for part, n in by_part.items()}}
                  for label, by_part in row["counts"].items()]  # fmt: skip
        lines += [markdown.table(counts), ""]
    near = sum(count for bits, count in audit["hash_neighbours"].items() if int(bits) <= NEAR)
    lines += [
        "## What is wrong with it",
        "",
        *label_noise(name, audit["duplicates"]),
        "- Near-copies: all pictures were compared with each other, mirrored too, and those whose fine detail "
        f"correlates by {p.clean.duplicate_correlation:g} or more count as one photo. As another witness, the "
        "perceptual hash of "
        f"{near} test faces is within {NEAR} bits of 63 of that "
        "of a face of another part; most of those that are left are strangers who look alike.",
    ]
    for target, row in audit["label_issues"].items():
        lines += [
            f"- {target}: of {row['faces']} labels that the models did not learn from, all models confidently "
            f"contradict {row['contradicted']}. They are wrong often enough themselves: these are labels to look at "
            f"first (`data/audits/{name}/label_issues.csv`)."
        ]
    lines += [f"- {n} of its pictures stand in {other}, too." for other, n in audit["shared"].items()]
    labelled = [row["by"] for row in split["balance"]]
    return cards.page(cards.dataset_data(title, clean["kept"], labelled, source["licence"]), lines)


def label_source(dataset: str, p: params.Params) -> str:
    """Where the labels of a dataset come from, in words."""
    reader = next(row.reader for row in p.variants.values() if row.dataset == dataset)
    if provenance.read(dataset, "cropped")["kind"] == "sample":
        return SAMPLE_LABELS
    return getattr(datasets.find(reader), "LABELS", OWN_LABELS)


def label_noise(dataset: str, duplicates: dict[str, float]) -> list[str]:
    """Lines on how far the labels of one photo differ. duplicates: of audit's summary."""
    lines = []
    for name, target in targets.TARGETS.items():
        if f"{name}_label_noise" not in duplicates:
            continue
        noise, count = duplicates[f"{name}_label_noise"], duplicates[f"{name}_pictures"]
        if target.kind == "years":
            lines += [
                f"- Copies in {dataset} disagree: two {name} labels of one photo differ by "
                f"{duplicates[f'{name}_mean_difference']:.1f} years in the mean ({count} pictures), so that no model "
                f"can have an MAE below {noise:.2f} years against these labels. (In the parts, such a photo is once, "
                "with the median of its labels, or with none where they are far apart.)"
            ]
        else:
            lines += [f"- {name}: at least {noise:.1%} of the labels of {count} pictures with copies are wrong, since "
                      "copies contradict each other"]  # fmt: skip
    return lines


def published(archive: dict) -> str:
    """Whether an archive is the published one, in words."""
    return PUBLISHED[archive["official"]]
