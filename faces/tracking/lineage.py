"""What a model came from: digests of the files on its way, kept with its run and compared where it is made again."""

import hashlib
import importlib.metadata
import json
from pathlib import Path

from faces import params

WEIGHTS, MODEL, PREDICTIONS, METRICS = "weights", "model", "predictions", "metrics"
RESULTS = (WEIGHTS, PREDICTIONS, METRICS)  # what must be the same for a model to be called reproduced


def digests(name: str, row: params.Model, root: Path = Path()) -> dict[str, str]:
    """sha256 of each file that a model passes through, in the order of the pipeline; those that are missing left out.

    Keys: `archive NAME`, records, pack (of its shards' digests), split, hyperparameters, weights, model (as exported
    and calibrated, with its name and source kind inside), predictions, metrics.
    """
    found = {}
    noted = root / "data/raw" / row.dataset / row.variant / "provenance.json"
    if noted.exists():
        found = {f"archive {a['name']}": a["sha256"] for a in json.loads(noted.read_text())["archives"]}
    places = {
        "records": f"data/records/{row.dataset}.csv",
        "pack": f"data/packs/{row.dataset}/{row.variant}/pack.json",
        "split": f"data/splits/{row.dataset}.csv",
        "hyperparameters": f"data/tuned/{name}.json",
        WEIGHTS: f"data/models/{name}/model.weights.h5",
        MODEL: f"data/calibrated/{name}/model.onnx",
        PREDICTIONS: f"data/evaluated/{name}/predictions.csv",
        METRICS: f"data/evaluated/{name}/metrics.json",
    }
    for key, path in places.items():
        if (root / path).exists():
            found[key] = _shards(root / path) if path.endswith("pack.json") else digest(root / path)
    return found


def _shards(manifest: Path) -> str:
    shards = json.loads(manifest.read_text())["shards"]
    return hashlib.sha256("".join(shard["sha256"] for shard in shards).encode()).hexdigest()


def folder(model: str) -> str:
    """Folder of a run's artifacts that tells what a model, named by its digest, came from.

    It holds lineage.json (commit, digests, packages), params.yaml, metrics.json and uncommitted.diff: of the time when
    the model was logged, when all of the pipeline was as it was made by that commit, params and changes.
    """
    return f"lineage/{model[:16]}"


def digest(path: Path | str) -> str:
    """sha256 of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def packages() -> dict[str, str]:
    """Version of every installed package, by name."""
    found = {dist.metadata["Name"].lower(): dist.version for dist in importlib.metadata.distributions()}
    return dict(sorted(found.items()))


def changes(old: dict, new: dict) -> dict[str, tuple]:
    """What differs between two flat dicts: {key: (old, new)}, None where there is none."""
    return {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)}
