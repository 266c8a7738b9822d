"""Where pictures came from: reads what download noted, and says it in words that every report and run carries."""

import json
from pathlib import Path


def read(dataset: str, variant: str) -> dict:
    """What download noted: {kind (sample, real or own), simulated, licence, archives}.

    archives: [{name, size in bytes, sha256, official (true, false, null where nothing is published)}]. Where kind is
    real, mirror, too: whether they came from elsewhere than the publishers' addresses.
    """
    return json.loads(Path("data/raw", dataset, variant, "provenance.json").read_text())


def store_name(dataset: str, noted: dict) -> str:
    """Name of the MLflow experiment and registered model: faces-DATASET, -sample or -simulated."""
    suffix = "-sample" if noted["kind"] == "sample" else "-simulated" if noted["simulated"] else ""
    return f"faces-{dataset}{suffix}"


def warnings(noted: dict) -> list[str]:
    """What a reader of a number must know about the pictures; empty for the published ones."""
    if noted["kind"] == "sample":
        return ["Sample: these are drawn faces. The numbers say that the pipeline works, nothing about people."]
    found = []
    if noted["simulated"]:
        found.append("Simulated: the pictures of this source are stand-ins, and no number here is a real result.")
    for archive in noted["archives"] if noted["kind"] != "own" else []:
        if archive["official"] is False:
            found.append(f"{archive['name']} differs from the published archive (sha256 {archive['sha256'][:12]}…).")
        elif archive["official"] is None:
            found.append(f"{archive['name']} has no published checksum to compare with.")
    return found
