"""Where images come from: reads the provenance that download wrote, and words it for every report and run."""

import json
from pathlib import Path

SPLIT_RULES = 2  # raised where clean or split put other faces, or other labels, into the parts of published archives
EARLIER = (
    "Measured on the test faces of the earlier split: since then, images without detail are left out, and a label that "
    "only a copy has is kept."
)  # said of results of lower SPLIT_RULES


def read(dataset: str, variant: str) -> dict:
    """Read the provenance of a variant: {kind (sample, real or own), simulated, licence, archives}.

    archives: [{name, size in bytes, sha256, official (true, false, null where no checksum or size is published)}], with
    the address of one that is read in place. Where kind is real, also mirror: whether they came from other addresses
    than the publishers'.
    """
    return json.loads(Path("data/raw", dataset, variant, "provenance.json").read_text())


def store_name(dataset: str, provenance: dict) -> str:
    """Name of the MLflow experiment and registered model: faces-DATASET, -sample or -simulated."""
    suffix = "-sample" if provenance["kind"] == "sample" else "-simulated" if provenance["simulated"] else ""
    return f"faces-{dataset}{suffix}"


def warnings(provenance: dict) -> list[str]:
    """Warnings about the images that reports show beside scores; empty for the published archives."""
    if provenance["kind"] == "sample":
        return [
            "Sample: these are synthetic faces. The numbers show that the pipeline works, and nothing about people."
        ]
    lines = []
    if provenance["simulated"]:
        lines.append("Simulated: the images of this source are stand-ins, and no number here is a real result.")
    for archive in provenance["archives"] if provenance["kind"] != "own" else []:
        if archive["official"] is False:
            lines.append(f"{archive['name']} differs from the published archive (sha256 {archive['sha256'][:12]}…).")
        elif archive["official"] is None:
            lines.append(f"{archive['name']} has no published checksum to compare with.")
    return lines
