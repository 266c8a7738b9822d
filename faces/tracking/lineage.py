"""Lineage of a model: digests of the files that it was made from, kept with its run and compared on reproduction."""

import hashlib
import json
from pathlib import Path

from faces import params

WEIGHTS, MODEL, PREDICTIONS, METRICS = "weights", "model", "predictions", "metrics"
SOFT = "soft_targets.npz"
RESULTS = (WEIGHTS, PREDICTIONS, METRICS)  # equal if the model is reproduced


def digests(name: str, row: params.Model, root: Path = Path()) -> dict[str, str]:
    """sha256 of the files that a model was made from and of its results, in pipeline order; missing files left out.

    Keys: `archive NAME`, records, pack (of its shards' digests), split, soft targets (of a model with teachers),
    start (the weights that training started from, if any), hyperparameters, weights, model (exported and calibrated;
    the file contains its name and source kind), predictions, metrics.
    """
    provenance = root / "data/raw" / row.dataset / row.variant / "provenance.json"
    archives = json.loads(provenance.read_text())["archives"] if provenance.exists() else []
    about = root / f"data/models/{name}/model.json"
    start = json.loads(about.read_text()).get("start") if about.exists() else None
    paths = {
        "records": f"data/records/{row.dataset}.csv",
        "pack": f"data/packs/{row.dataset}/{row.variant}/pack.json",
        "split": f"data/splits/{row.dataset}.csv",
        **({"soft targets": f"data/soft_targets/{row.teachers}/{SOFT}"} if row.teachers != params.NO_TEACHERS else {}),
        **({"start": start["file"]} if start else {}),
        "hyperparameters": f"data/tuned/{name}.json",
        WEIGHTS: f"data/models/{name}/model.weights.h5",
        MODEL: f"data/calibrated/{name}/model.onnx",
        PREDICTIONS: f"data/evaluated/{name}/predictions.csv",
        METRICS: f"data/evaluated/{name}/metrics.json",
    }
    files = {key: root / path for key, path in paths.items() if (root / path).exists()}
    return {f"archive {archive['name']}": archive["sha256"] for archive in archives} | {
        key: _pack_digest(path) if key == "pack" else digest(path) for key, path in files.items()
    }


def first_difference(old: dict[str, str], new: dict[str, str]) -> str:
    """The first digest, in pipeline order, in which two runs differ, in words; '' where none does.

    A digest that one of them lacks is passed over: earlier versions kept fewer.
    """
    different = (key for key in old if key in new and old[key] != new[key])
    return next((f"the first digest that differs is that of the {key}" for key in different), "")


def _pack_digest(manifest: Path) -> str:
    shards = json.loads(manifest.read_text())["shards"]
    return hashlib.sha256("".join(shard["sha256"] for shard in shards).encode()).hexdigest()


def folder(model: str) -> str:
    """Folder, among a run's artifacts, of the lineage of a model, named by the model's digest.

    It holds lineage.json (commit, digests, packages), params.yaml, metrics.json and uncommitted.diff, all of the time
    when the model was logged.
    """
    return f"lineage/{model[:16]}"


def digest(path: Path | str) -> str:
    """sha256 of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def changes(old: dict, new: dict) -> dict[str, tuple]:
    """Differences of two flat dicts: {key: (old, new)}, None if missing."""
    return {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)}
