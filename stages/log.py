"""Bring one model's files into MLflow: data/models/M/, data/evaluated/M/, reports/ -> its run, and a receipt."""

import hashlib
import json
from pathlib import Path

import pandas as pd

from faces import params
from faces.data import provenance, records
from faces.data.sample import drawing
from faces.evaluation import predictions
from faces.runtime import progress, running
from faces.tracking import lineage, models, origin, runs, store


def main(name: str) -> None:
    """Find the run that training opened, or make it, and complete it; nothing is logged twice."""
    p = params.load()
    row = p.models[name]
    folder, evaluated = Path("data/models") / name, predictions.FOLDER / name
    about = json.loads((folder / "model.json").read_text())
    tuned = json.loads(Path(f"data/tuned/{name}.json").read_text())
    noted = provenance.read(row.dataset, row.variant)
    experiment = provenance.store_name(row.dataset, noted)
    client, experiment_id = store.open_experiment(experiment)
    run = runs.find_or_create(client, experiment_id, name, about["fingerprint"])
    run_id = run.info.run_id
    runs.add_params(client, run_id, runs.flatten(about["recipe"]) | {"parameters": about["parameters"]})
    digests = lineage.digests(name, row)
    told = tags(name, about, tuned, noted) | origin.machine() | origin.commit_tags()
    runs.add_tags(client, run_id, told | {"split": digests["split"]})
    runs.add_metrics(client, run_id, final_metrics(predictions.scores(name)))
    if about["best_epoch"] >= 0:
        history = pd.read_csv(folder / "history.csv").to_dict("records")
        runs.add_curve(client, run_id, "curve", history)
    runs.add_trials(client, run, name, tuned["trials"])
    faces = records.read(f"data/splits/{row.dataset}.csv")
    runs.add_datasets(client, run, faces, digests["split"], row.dataset)
    for place in (f"reports/models/{name}", evaluated):  # of both metrics.json, the second stays: it is not rounded
        client.log_artifacts(run_id, str(place), "evaluation")
    client.log_artifacts(run_id, f"reports/plots/{name}", "plots")
    for path in (folder / "history.csv", folder / "model.json"):
        client.log_artifact(run_id, str(path), "training")
    came_from = {"commit": origin.commit_tags()["git_commit"], "digests": digests, "packages": origin.packages()}
    files = {"lineage.json": json.dumps(came_from, indent=1), "params.yaml": Path("params.yaml").read_text(),
             "metrics.json": (evaluated / "metrics.json").read_text()}  # fmt: skip
    origin.log_origin(client, run_id, lineage.folder(digests[lineage.MODEL]), files)
    onnx = Path("data/calibrated", name, "model.onnx")
    models.add_model(client, run, onnx, drawing.example_picture(), digests[lineage.MODEL])
    # the run lasted as long as the training, not until now
    client.set_terminated(run_id, "FINISHED", end_time=run.info.end_time)
    receipt = Path("mlruns/receipts") / f"{name}.json"
    receipt.parent.mkdir(parents=True, exist_ok=True)
    read = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(evaluated.iterdir())))
    note = {"experiment": experiment, "run": name, "fingerprint": about["fingerprint"], "evaluation": read.hexdigest()}
    receipt.write_text(json.dumps(note, indent=1) + "\n")
    progress.say(f"{name}: in MLflow experiment {experiment}")


def tags(name: str, about: dict, tuned: dict, noted: dict) -> dict[str, str]:
    """What a person filters runs by, and what they must know about the pictures."""
    found = {
        "model": name,
        "dataset": about["dataset"],
        "variant": about["variant"],
        "source_kind": about["kind"],
        "simulated": str(noted["simulated"]).lower(),
        "archives": json.dumps({a["name"]: a["sha256"] for a in noted["archives"]}),
        "licence": noted["licence"],
        "cut_short": str(about["cut_short"] or tuned["cut_short"]).lower(),
        "search_gain": str(tuned["gain"]),
    }
    warned = provenance.warnings(noted)
    return found | ({"mlflow.note.content": "\n\n".join(warned)} if warned else {})


def final_metrics(numbers: dict[str, dict[str, float]]) -> dict[str, float]:
    """Flat names, {'test': {'age_mae': 4}} -> {'test_mae': 4}: age is meant where no target is named."""
    return {f"{part}_{key.removeprefix('age_')}": value for part, row in numbers.items() for key, value in row.items()}


if __name__ == "__main__":
    running.stage(main)
