"""What both cards say: where labels come from, how far copies disagree, what a reader must know."""

import json
from pathlib import Path

from faces import params, targets
from faces.data import datasets, provenance

OWN_LABELS = "Those of the owner's table."
DRAWN_LABELS = "What the faces were drawn with; some were made to contradict their copies, as those of photos do."


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
