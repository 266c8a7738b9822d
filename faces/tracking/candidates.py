"""Candidates for champion: versions of a registered model, made of a trained model's run or of the shipped file."""

import json
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from faces import params
from faces.data import provenance, records
from faces.data.sample import drawing
from faces.evaluation import dummy_baseline, predictions
from faces.inference.predictor import SHIPPED, Predictor
from faces.tracking import lineage, models, registry, runs, store

USELESS = "no_better_than_dummy_baseline"  # tag of runs and versions: targets, separated by blanks


def register(name: str, row: params.Model, score: str) -> tuple[MlflowClient, ModelVersion]:
    """Register the run of a trained model as a version, whose tags tell what it is and how good it is.

    score: of validation faces, by which it was chosen. Raises SystemExit where its run is not in MLflow.
    """
    source = provenance.read(row.dataset, row.variant)
    registered = provenance.store_name(row.dataset, source)
    client, experiment_id = store.open_experiment(registered)
    about = records.read_json(f"data/models/{name}/model.json")
    run = runs.find_or_create(client, experiment_id, name, about["fingerprint"])
    onnx = lineage.digest(f"data/calibrated/{name}/model.onnx")
    numbers = predictions.scores(name)
    tags = {
        "model": name,
        "split": lineage.digest(f"data/splits/{row.dataset}.csv")[:16],
        "score": score,
        "val": repr(numbers.get("val", {}).get(score, float("nan"))),
        "git_commit": run.data.tags.get("git_commit", ""),
        "git_dirty": run.data.tags.get("git_dirty", ""),
        "fingerprint": about["fingerprint"],
        "onnx_sha256": onnx,
        "archives": json.dumps({a["name"]: a["sha256"] for a in source["archives"]}),
        "warnings": " ".join(provenance.warnings(source)),
        "params": json.dumps(about["recipe"]),
        USELESS: " ".join(dummy_baseline.useless(records.read_json(f"reports/models/{name}/summary.json"))),
        **{f"test_{key}": str(number) for key, number in numbers.get("test", {}).items()},
    }
    model = models.find_model(client, run, onnx)
    if model is None:
        raise SystemExit(f"{name} is not in MLflow any more: run `dvc repro -f log@{name}` first")
    with store.lock():
        return client, registry.register(client, registered, run, model, tags)


def register_shipped(path: Path = SHIPPED) -> tuple[MlflowClient, ModelVersion]:
    """Register the model that this project ships as a version; it has no split, and no score on validation."""
    about, digest = Predictor(path).metadata, lineage.digest(path)
    registered = f"faces-{about['dataset']}"
    client, experiment_id = store.open_experiment(registered)
    run = runs.find_or_create(client, experiment_id, "shipped", about["fingerprint"], kind="shipped")
    runs.add_tags(
        client, run.info.run_id, {"model": "shipped", "dataset": about["dataset"], "source_kind": about["kind"]}
    )
    model = models.add_model(client, run, path, drawing.example_picture(), digest)
    client.set_terminated(run.info.run_id)
    tags = {"model": "shipped", "split": "", "score": "", "val": "nan", "fingerprint": about["fingerprint"],
            "onnx_sha256": digest, "params": json.dumps(about["recipe"]), USELESS: ""}  # fmt: skip
    with store.lock():
        return client, registry.register(client, registered, run, model, tags)


def chosen_by(version: ModelVersion) -> str:
    """The score by which a version was chosen, in words."""
    score, value = version.tags.get("score"), float(version.tags.get("val", "nan"))
    return f"{score} {value:.4f} on validation" if score and value == value else "no score on validation"


def objection(version: ModelVersion) -> str:
    """Why a version must never be champion, '' where nothing is against it."""
    names = ", ".join(version.tags.get(USELESS, "").split())
    return f"it is {dummy_baseline.NO_BETTER} on {names}" if names else ""
