"""The card of a dataset, from the files of the pipeline."""

from faces import params, targets
from faces.data import datasets, provenance, records
from faces.reporting import cards, markdown

NEAR = 2  # bits of the perceptual hash
OWN_LABELS = "From the owner's table."
SAMPLE_LABELS = (
    "The values that the faces were made from; some duplicates have other labels, as in the published archives."
)
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
    made = "synthetic, in the layout of " if source["kind"] == "sample" else "from "
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
        f"**Out-of-scope use.** {cards.OUT_OF_SCOPE}",
        "",
        "## Archives",
        "",
        "| variant | archive | bytes | sha256 | as published |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {variant} | {archive['name']} | {archive['size']:,} | {archive['sha256']} | {PUBLISHED[archive['official']]} |"
            for variant, row in sources.items()
            for archive in row["archives"]
        ),
        "",
        "## Rejected records",
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
        "## Known issues",
        "",
        *label_noise(name, audit["duplicates"]),
        "- Near-copies: all images were compared with each other, mirrored too. Two images are of one photo if their "
        "fine "
        f"detail correlates by {p.clean.duplicate_correlation:g} or more. As an independent check, the perceptual hash "
        f"of {near} test faces differs by at most {NEAR} of 63 bits from that of a face in another part; most of these "
        "are different people who look alike.",
    ]
    for target, row in audit["label_issues"].items():
        lines += [
            f"- {target}: of {row['faces']} labels that the models were not trained on, all models confidently "
            f"contradict {row['contradicted']}. Models are often wrong, too: these are labels to check first "
            f"(`data/audits/{name}/label_issues.csv`)."
        ]
    lines += [f"- {n} of its images are in {other}, too." for other, n in audit["shared"].items()]
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
                f"- Label noise: two {name} labels of one photo differ by "
                f"{duplicates[f'{name}_mean_difference']:.1f} years in the mean ({count} images), so no model can have "
                f"an MAE below {noise:.2f} years on them. (The parts hold such a photo once, with the median of its "
                "labels, or with no label if they are far apart.)"
            ]
        else:
            lines += [f"- Label noise: at least {noise:.1%} of the {name} labels of {count} duplicates are wrong, "
            "since "
                      "they contradict each other"]  # fmt: skip
    return lines
