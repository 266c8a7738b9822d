"""The card of a dataset, every number from the files of the pipeline."""

from faces import params
from faces.data import datasets, provenance
from faces.reporting import cards, facts

CLOSE = 2  # bits of the perceptual hash


def dataset_card(name: str, p: params.Params) -> str:
    """The card of a dataset, as the pipeline found it."""
    variants = {row.variant: row for row in p.variants.values() if row.dataset == name}
    noted = {variant: provenance.read(name, variant) for variant in variants}
    one = noted["cropped"]
    found, split = facts.load(f"data/clean/{name}/summary.json"), facts.load(f"data/splits/{name}-balance.json")
    audit = facts.load(f"reports/audits/{name}/summary.json")
    home = datasets.find(variants["cropped"].reader).HOME
    drawn = "drawn in the layout of " if one["kind"] == "sample" else "from "
    origin = f", {drawn}{home}" if home else ""
    title = provenance.store_name(name, one).removeprefix("faces-")
    labelled = [row["by"] for row in split["balance"]]
    lines = [f"# {title}", "", *facts.quotes(*noted.values())]
    lines += [
        f"{found['kept']:,} faces of {found['records']:,} records{origin}.",
        "",
        f"**Licence.** {one['licence'][0].upper()}{one['licence'][1:]}.",
        "",
        f"**Labels.** {facts.labels_of(name, p)}",
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
    lines += ["## What is wrong with it", "", *facts.floors(name)]
    near = audit["hash_neighbours"]
    lines += [
        "- Near-copies: all pictures were compared with each other, mirrored too, and those whose fine detail "
        f"correlates by {p.clean.same_photo:g} or more count as one photo. As another witness, the perceptual hash of "
        f"{sum(v for bits, v in near.items() if int(bits) <= CLOSE)} test faces is within {CLOSE} bits of 63 of that "
        "of a face of another part; most of those that are left are strangers who look alike.",
    ]
    for target, row in audit["label_issues"].items():
        lines += [
            f"- {target}: of {row['faces']} labels that the models did not learn from, all models confidently "
            f"contradict {row['contradicted']}. They are wrong often enough themselves: these are labels to look at "
            f"first (`data/audits/{name}/label_issues.csv`)."
        ]
    lines += [f"- {n} of its pictures stand in {other}, too." for other, n in audit["shared"].items()]
    return cards.page(cards.dataset_data(title, found["kept"], labelled, one["licence"]), lines)


def published(archive: dict) -> str:
    """Whether an archive is the published one, in a word."""
    return {True: "yes", False: "no", None: "no checksum is published"}[archive["official"]]
