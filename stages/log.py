"""Bring one model's files into MLflow: data/models/M/, data/evaluated/M/, reports/ -> its run, and a receipt."""

import hashlib
import io
import json
from pathlib import Path

import pandas as pd

from stages.lib import drawing, lineage, params, predictions, progress, provenance, records, running, tracking


def main(name: str) -> None:
    """Find the run that training opened, or make it, and complete it; nothing is logged twice."""
    p = params.load()
    row = p.models[name]
    folder, evaluated = Path("data/models") / name, predictions.FOLDER / name
    about = json.loads((folder / "model.json").read_text())
    tuned = json.loads(Path(f"data/tuned/{name}.json").read_text())
    noted = provenance.read(row.dataset, row.variant)
    experiment = provenance.store_name(row.dataset, noted)
    client, experiment_id = tracking.store(experiment)
    run = tracking.find_or_create(client, experiment_id, name, about["fingerprint"])
    run_id = run.info.run_id
    tracking.add_params(client, run_id, tracking.flat(about["recipe"]) | {"parameters": about["parameters"]})
    digests = lineage.digests(name, row)
    told = tags(name, about, tuned, noted) | tracking.machine() | tracking.lineage()
    tracking.add_tags(client, run_id, told | {"split": digests["split"]})
    tracking.add_metrics(client, run_id, final_metrics(predictions.scores(name)))
    if about["best_epoch"] >= 0:
        history = pd.read_csv(folder / "history.csv").to_dict("records")
        tracking.add_curve(client, run_id, "curve", history)
    tracking.add_trials(client, run, name, tuned["trials"])
    faces = records.read(f"data/splits/{row.dataset}.csv")
    tracking.add_datasets(client, run, faces, digests["split"], row.dataset)
    for place in (f"reports/models/{name}", evaluated):  # of both metrics.json, the second stays: it is not rounded
        client.log_artifacts(run_id, str(place), "evaluation")
    client.log_artifacts(run_id, f"reports/groups/{name}", "groups")
    for path in (folder / "history.csv", folder / "model.json"):
        client.log_artifact(run_id, str(path), "training")
    origin = {"commit": tracking.lineage()["git_commit"], "digests": digests, "packages": lineage.packages()}
    files = {"lineage.json": json.dumps(origin, indent=1), "params.yaml": Path("params.yaml").read_text(),
             "metrics.json": (evaluated / "metrics.json").read_text()}  # fmt: skip
    tracking.note_origin(client, run_id, lineage.folder(digests[lineage.MODEL]), files)
    onnx = Path("data/calibrated", name, "model.onnx")
    tracking.add_model(client, run, onnx, example_picture(), digests[lineage.MODEL])
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


def example_picture() -> bytes:
    """A drawn face as JPEG bytes, whatever the model was trained on: no photo goes into the store."""
    image = drawing.photo(drawing.people(1, 0)[0], 120, 120, (10, 10, 100))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


if __name__ == "__main__":
    running.stage(main)
