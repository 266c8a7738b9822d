"""The card of a dataset, from the files of the pipeline."""

from faces import params, targets
from faces.data import datasets, provenance, records
from faces.reporting import cards, markdown

NEAR = 2  # bits of the perceptual hash
OWN_LABELS = "From the owner's table."
SAMPLE_LABELS = "The values that the faces were made from. Some copies have other labels, as in the published archives."
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
    made = "They are synthetic, in the layout of" if source["kind"] == "sample" else "They are from"
    tables = [[split["faces"]]]
    tables += [[{row["by"]: label, **n} for label, n in row["counts"].items()] for row in split["balance"]]
    near = sum(count for bits, count in audit["hash_neighbours"].items() if int(bits) <= NEAR)
    lines = [
        f"# {title}",
        "",
        *markdown.quotes(text for row in sources.values() for text in provenance.warnings(row)),
        f"{clean['kept']:,} faces of {clean['records']:,} records." + (f" {made} {home}." if home else ""),
        "",
        f"**Licence.** {source['licence'][0].upper()}{source['licence'][1:]}.",
        "",
        f"**Labels.** {label_source(name, p)}",
        "",
        f"**Intended use.** {cards.INTENDED}",
        "",
        f"**Out-of-scope use.** {cards.OUT_OF_SCOPE}",
        "",
        "## Source data",
        "",
        "| variant | archive | bytes | sha256 | as published |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {variant} | {archive['name']} | {archive['size']:,} | {archive['sha256']} | {published(archive)} |"
            for variant, row in sources.items()
            for archive in row["archives"]
        ),
        "",
        "## Rejected records",
        "",
        markdown.table([{"reason": reason, "records": f"{n:,}"} for reason, n in clean["rejected"].items()]),
        "",
        f"Each rejected record, with its reason, is in `data/clean/{name}/rejects.csv`.",
        "",
        "## Data splits",
        "",
        *(line for table in tables for line in (counts_table(table), "")),
        "## Known limitations",
        "",
        *label_noise(audit["duplicates"]),
        "- Near-copies: all images were compared with each other, also mirrored. Two images count as one photo if the "
        f"correlation of their fine detail is {p.clean.duplicate_correlation:g} or more. As an independent check, "
        f"{near} test faces have a perceptual hash that differs by at most {NEAR} of 63 bits from that of a face in "
        "another part. Most such pairs are different people who look alike.",
        *([f"- Label issues: {label_issues(name, audit['label_issues'])}"] if audit["label_issues"] else []),
        *(f"- Images that are also in {other}: {n}." for other, n in audit["shared"].items()),
    ]
    labelled = [row["by"] for row in split["balance"]]
    return cards.page(cards.dataset_data(title, clean["kept"], labelled, source["licence"]), lines)


def counts_table(rows: list[dict]) -> str:
    """Table of rows of counts, with commas between thousands."""
    return markdown.table([{key: n if isinstance(n, str) else f"{n:,}" for key, n in row.items()} for row in rows])


def published(archive: dict) -> str:
    """Whether an archive is the published one, in words."""
    return PUBLISHED[archive["official"]]


def label_source(dataset: str, p: params.Params) -> str:
    """Where the labels of a dataset come from, in words."""
    reader = next(row.reader for row in p.variants.values() if row.dataset == dataset)
    if provenance.read(dataset, "cropped")["kind"] == "sample":
        return SAMPLE_LABELS
    return getattr(datasets.find(reader), "LABELS", OWN_LABELS)


def label_noise(duplicates: dict[str, float]) -> list[str]:
    """Lines on how far the labels of one photo differ. duplicates: of audit's summary."""
    lines = []
    for name in [name for name in targets.TARGETS if f"{name}_label_noise" in duplicates]:
        noise, count = duplicates[f"{name}_label_noise"], duplicates[f"{name}_images"]
        if targets.TARGETS[name].kind == "years":
            lines += [
                f"- Label noise: on average, two {name} labels of one photo differ by "
                f"{duplicates[f'{name}_mean_difference']:.1f} years ({count} images), so no model can have an MAE "
                f"below {noise:.2f} years on these images. (Such a photo is used once, with the median of its labels, "
                "or without a label if they are far apart.)"
            ]
        else:
            lines += [
                f"- Label noise: at least {noise:.1%} of the {name} labels of {count} images with copies are wrong, "
                "since the labels of one photo contradict each other."
            ]
    return lines


def label_issues(dataset: str, issues: dict[str, dict]) -> str:
    """Sentences on labels that are probably wrong. issues: of audit's summary, by target."""
    counts = ", ".join(f"{row['contradicted']} of {row['faces']} {target} labels" for target, row in issues.items())
    return (
        f"among faces that the models were not trained on, all models confidently contradict {counts}. Models are "
        f"often wrong, too, so these are the labels to check first (`data/audits/{dataset}/label_issues.csv`)."
    )
