"""Log one model's files to MLflow: data/models/M/, data/evaluated/M/, reports/ -> its run, and a receipt."""

import hashlib
import json
from pathlib import Path

import pandas as pd

from faces import params
from faces.data import provenance, records
from faces.data.sample import drawing
from faces.evaluation import dummy_baseline, predictions
from faces.runtime import progress, running
from faces.tracking import candidates, lineage, models, origin, runs, store

TRAINING = ("history.csv", "model.json", "model.weights.h5", "network.json")  # files of data/models/MODEL


def main(name: str) -> None:
    """Find the run that training started, or create it, and complete it; nothing is logged twice."""
    p = params.load()
    row = p.models[name]
    folder, evaluated = Path("data/models") / name, predictions.FOLDER / name
    about, tuned = records.read_json(folder / "model.json"), records.read_json(f"data/tuned/{name}.json")
    source = provenance.read(row.dataset, row.variant)
    experiment = provenance.store_name(row.dataset, source)
    client, experiment_id = store.open_experiment(experiment)
    run = runs.find_or_create(client, experiment_id, name, about["fingerprint"])
    run_id = run.info.run_id
    runs.add_params(client, run_id, runs.recipe_params(about["recipe"]) | {"parameters": about["parameters"]})
    digests, commit = lineage.digests(name, row), origin.commit_tags()
    summary = records.read_json(f"reports/models/{name}/summary.json")
    run_tags = tags(name, about, tuned, source, dummy_baseline.useless(summary)) | origin.machine() | commit
    runs.add_tags(client, run_id, run_tags | {"split": digests["split"]})
    runs.add_metrics(client, run_id, final_metrics(predictions.scores(name)) | dummy_metrics(summary))
    if about["best_epoch"] >= 0:
        runs.add_curve(client, run_id, "curve", pd.read_csv(folder / "history.csv").to_dict("records"))
    runs.add_trials(client, run, name, tuned["trials"], p.evaluate.confidence)
    faces = records.read(f"data/splits/{row.dataset}.csv")
    runs.add_datasets(client, run, faces, digests["split"], row.dataset)
    for path in (f"reports/models/{name}", evaluated):  # the second metrics.json, unrounded, replaces the first
        client.log_artifacts(run_id, str(path), "evaluation")
    client.log_artifacts(run_id, f"reports/plots/{name}", "plots")
    for file in TRAINING:
        client.log_artifact(run_id, str(folder / file), "training")
    made_from = {"commit": commit["git_commit"], "digests": digests, "packages": origin.packages()}
    files = {
        "lineage.json": json.dumps(made_from, indent=1),
        "params.yaml": Path("params.yaml").read_text(),
        "metrics.json": (evaluated / "metrics.json").read_text(),
    }
    origin.log_origin(client, run_id, lineage.folder(digests[lineage.MODEL]), files)
    onnx = Path("data/calibrated", name, "model.onnx")
    models.add_model(client, run, onnx, drawing.example_picture(), digests[lineage.MODEL])
    # the run ends when the training ended, not now
    client.set_terminated(run_id, "FINISHED", end_time=run.info.end_time)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(evaluated.iterdir()))).hexdigest()
    receipt = {"experiment": experiment, "run": name, "fingerprint": about["fingerprint"], "evaluation": digest}
    records.write_json(receipt, f"mlruns/receipts/{name}.json")
    progress.say(f"{name}: in MLflow experiment {experiment}")


def tags(name: str, about: dict, tuned: dict, source: dict, useless: list[str]) -> dict[str, str]:
    """Tags by which runs are filtered, and the run's description: warnings.

    source: as provenance.read returns it; useless: targets on which the model is no better than the dummy baseline.
    """
    named = {
        "model": name,
        "dataset": about["dataset"],
        "variant": about["variant"],
        "source_kind": about["kind"],
        "simulated": str(source["simulated"]).lower(),
        "archives": json.dumps({a["name"]: a["sha256"] for a in source["archives"]}),
        "licence": source["licence"],
        **({"start_from": about["start"]["folder"]} if about.get("start") else {}),
        "cut_short": str(about["cut_short"] or tuned["cut_short"]).lower(),
        "search_gain": str(tuned["gain"]),
        candidates.USELESS: " ".join(useless),
    }
    warnings = provenance.warnings(source)
    if useless:
        warnings.append(f"This model is {dummy_baseline.NO_BETTER} on {', '.join(useless)}.")
    return named | ({"mlflow.note.content": "\n\n".join(warnings)} if warnings else {})


def final_metrics(numbers: dict[str, dict[str, float]]) -> dict[str, float]:
    """Names that MLflow's charts group: {'test': {'age_mae': 4}} -> {'test/age_mae': 4}."""
    return {f"{part}/{key}": value for part, row in numbers.items() for key, value in row.items()}


def dummy_metrics(summary: dict) -> dict[str, float]:
    """The dummy baseline's headline scores on test: {'test/age_mae_dummy_baseline': 15.2}; summary: of evaluate."""
    rows = summary[dummy_baseline.KEY].items()
    return {f"test/{name}_{row['score']}_{dummy_baseline.KEY}": row[dummy_baseline.KEY] for name, row in rows}


if __name__ == "__main__":
    running.stage(main)
