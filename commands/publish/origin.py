"""What a published result was made from (about.json), and how that differs from another run."""

from pathlib import Path

import pandas as pd

from commands.publish import results
from faces import params
from faces.data import provenance, records
from faces.params import recipes
from faces.reporting import published, score_sections
from faces.tracking import lineage, model_choice, origin

SPLIT = "split"
PACKAGES = ("tensorflow", "keras", "numpy", "onnx", "onnxruntime", "dvc", "mlflow")


def collect(name: str, p: params.Params) -> dict:
    """Commit, recipe, archives, digests, packages and settings of a finished run; no path and no clock."""
    row = p.models[name]
    source = provenance.read(row.dataset, row.variant)
    model, tuned = records.read_json(f"data/models/{name}/model.json"), records.read_json(f"data/tuned/{name}.json")
    split, installed = Path(f"data/splits/{row.dataset}.csv"), origin.packages()
    digests = {key: value for key, value in lineage.digests(name, row).items() if not key.startswith("archive ")}
    return {
        "commit": origin.commit_tags()["git_commit"],
        "recipe": f"{recipes.FOLDER}/{name}.yaml",
        "kind": source["kind"],
        "simulated": source["simulated"],
        "archives": source["archives"],
        "digests": digests | {published.TEST_FACES: published.digest_test_faces(split)},
        "parameters": model["parameters"],
        "resampled": score_sections.resampled_units(records.read(f"data/evaluated/{name}/predictions.csv")["group"]),
        "faces": records.read(split)["part"].value_counts().to_dict(),
        "split_rules": provenance.SPLIT_RULES,
        "trained": model["recipe"],
        "search": {key: value for key, value in tuned.items() if key != "trials"},
        "params": p.model_dump(mode="json", by_alias=True, exclude={"data"}),
        "packages": {key: installed[key] for key in PACKAGES if key in installed},
    }


def changed_faces(about: dict, before: dict) -> str:
    """A line, after a line break, for the split and each archive that differs from the published one; '' if none."""
    old, new = all_digests(before), all_digests(about)
    names = ["split", *(key for key in old if key.startswith("archive "))]
    earlier = f" ({provenance.EARLIER})" if before.get("split_rules", 1) != about.get("split_rules", 1) else ""
    return "".join(
        f"\n{name}: not that of the published result{earlier}" for name in names if old.get(name) != new.get(name)
    )


def all_digests(about: dict) -> dict[str, str]:
    """Digests of a result, from its archives to its metrics, in pipeline order."""
    return {f"archive {a['name']}": a["sha256"] for a in about["archives"]} | about["digests"]


def earlier_models(folder: Path, about: dict) -> list[dict]:
    """Other models that were published with scores on the same test faces, oldest first: commit and headlines.

    folder: as last published; none where its test faces are others.
    """
    if not (folder / published.ABOUT).exists():
        return []
    before = records.read_json(folder / published.ABOUT)
    old, new = before["digests"], about["digests"]
    if old[published.TEST_FACES] != new[published.TEST_FACES]:
        return []
    earlier = before.get("earlier", [])
    if old["weights"] == new["weights"]:
        return earlier
    titles = [title for _, _, title in results.HEADLINES]
    values = pd.read_csv(folder / published.RESULTS).set_index("title")["value"].reindex(titles).dropna()
    return [*earlier, {"commit": before["commit"], **values.to_dict()}]


def outdated_tables(name: str, about: dict, folder: Path) -> dict[str, str]:
    """Warnings {file: text} for tables of a folder that were not measured on what is published now.

    That for all of them, where the split has changed, is under SPLIT.
    """
    warnings = {}
    if about.get("split_rules", 1) != provenance.SPLIT_RULES:
        warnings[SPLIT] = provenance.EARLIER
    if (folder / published.ABLATIONS).exists():
        rows = pd.read_csv(folder / published.ABLATIONS, dtype={"basis": str})
        common = recipes.ablations(name).get("short", {})
        if set(rows["basis"]) != {recipes.basis(common, rows["precision"].iloc[0], recipes.expected(name))}:
            warnings[published.ABLATIONS] = (
                "**Measured on an earlier recipe than the one published here, from an earlier list.**"
            )
    if (folder / published.PEERS).exists():
        peers = pd.read_csv(folder / published.PEERS, dtype=str)
        if set(peers["split"]) != {about["digests"][published.TEST_FACES][:8]}:
            warnings[published.PEERS] = "**Tested on other faces than the model published here.**"
    if (folder / published.ROBUSTNESS).exists():
        measured = set(pd.read_csv(folder / published.ROBUSTNESS, dtype={"model": str})["model"])
        if measured != {model_choice.from_file(Path(f"pretrained/{name}/{name}.onnx")).version}:
            warnings[published.ROBUSTNESS] = "**Measured on another model than the one published here.**"
    return warnings
