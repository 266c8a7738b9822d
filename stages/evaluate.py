"""Evaluate one model on train, validation and test, and its calibration and subgroups on test.

data/calibrated/M/ + packs + split -> data/evaluated/M/, unrounded, for later stages and the gate; and
reports/models/M/, rounded and committed.
"""

from pathlib import Path

import pandas as pd

from faces import params, scores
from faces.data import labelled_faces, records
from faces.evaluation import dummy_baseline, group_files, metrics, predictions, score_tables, selection
from faces.inference.predictor import Predictor
from faces.runtime import progress, running


def main(name: str) -> None:
    """Predict every face once, then write predictions, scores, counts, history, and the tables of subgroups."""
    p = params.load()
    row, settings = p.models[name], p.evaluate
    pack, split = labelled_faces.open_pack(row)
    predictor = Predictor(f"data/calibrated/{name}/model.onnx")
    constants = predictor.metadata[dummy_baseline.KEY]
    people = split.set_index("face_id")
    numbers: dict[str, dict[str, float]] = {}
    tables, rows = [], {}
    for part in params.PARTS:
        faces, ids = labelled_faces.select_part(split, pack, part, row.targets)
        if not len(faces):
            continue
        images = labelled_faces.pixels(faces, *predictor.view)
        decoded = predictor.stream(progress.bar(images, f"{name} {part}", unit="batches"))
        rows[part] = predictions.as_rows(people.loc[ids], part, decoded)
        if part != "calibration":  # which is reserved for what is fitted to a finished model
            dummy = dummy_baseline.predicted(rows[part], constants)
            tables.append(score_tables.part_scores(rows[part], dummy, part, settings))
            selected = selection.evaluate(row.targets, faces.labels, decoded, constants)
            values = score_tables.values(rows[part]) | selected
            numbers[part] = {key: value for key, value in values.items() if value == value}
    unrounded, out = predictions.FOLDER / name, Path("reports/models") / name
    predicted = pd.concat([rows[part] for part in rows if part != "train"], ignore_index=True)
    records.write(predicted, unrounded / "predictions.csv")
    records.write_json(numbers, unrounded / "metrics.json")
    compared = {"score", *map(metrics.headline, row.targets)}  # by `dvc metrics diff`
    rounded = {
        part: {key: scores.number(value, key) for key, value in values.items() if key in compared}
        for part, values in numbers.items()
    }
    records.write_json(rounded, out / "metrics.json")
    records.write(scores.table(pd.concat(tables, ignore_index=True)), out / "scores.csv")
    records.write(score_tables.confusion_counts(rows.get("test", pd.DataFrame())), out / "counts.csv")
    trained = predictor.metadata["best_epoch"] >= 0
    history = pd.read_csv(f"data/models/{name}/history.csv") if trained else pd.DataFrame()
    history = scores.table(history.assign(epoch=history["epoch"] + 1)) if len(history) else history
    records.write(history, out / "history.csv")
    summary = group_files.write(predictions.read(name), constants, settings, p.calibrate.confidence, out)
    shown = [f"{key.replace('_', ' ')} {value}" for key, value in rounded.get("test", {}).items() if key != "score"]
    progress.say(f"{name}, test faces: {', '.join(shown)}")
    worst = [
        f"{target} {group['score']} {group['value']} of {group['group']} (n {group['n']})"
        for target, group in summary["worst"].items()
    ]
    progress.say(f"{name}, worst groups: {'; '.join(worst)}")
    if useless := dummy_baseline.useless(summary):
        progress.say(f"{name} is {dummy_baseline.NO_BETTER} on {', '.join(useless)}")


if __name__ == "__main__":
    running.stage(main)
