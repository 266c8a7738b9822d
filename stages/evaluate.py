"""Score one model on train, validation and test.

data/calibrated/M/ + packs + split -> data/evaluated/M/, which is not rounded, and which later stages and verdicts
read; and reports/models/M/, which is committed.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from faces import params, scores, targets
from faces.data import labelled_faces as parts
from faces.data import records
from faces.evaluation import bootstrap, metrics, predictions
from faces.inference.predictor import Predictor
from faces.reporting import plots
from faces.runtime import progress, running

PARTS = ("train", "val", "calibration", "test")
STEP = 5  # years, by which ages are counted


def main(name: str) -> None:
    """Predict every face once, then write predictions, scores, counts, history and plots."""
    p = params.load()
    row, settings = p.models[name], p.evaluate
    pack, split = parts.open_pack(row)
    predictor = Predictor(f"data/calibrated/{name}/model.onnx")
    about = predictor.about
    people = split.set_index("face_id")
    numbers: dict[str, dict] = {}
    tables, rows, counts = [], [], counted({}, {})
    for part in PARTS:
        faces, ids = parts.of(split, pack, part, row.targets)
        if not len(faces):
            continue
        images = parts.pixels(faces, *predictor.view)
        decoded = predictor.stream(progress.bar(images, f"{name} {part}", unit="batches"))
        if part != "train":
            rows.append(prediction_rows(people.loc[ids], part, decoded))
        if part == "calibration":
            continue  # kept unseen: it is for what is fitted to a finished model
        headline, table = score(faces.labels, decoded, part, people.loc[ids, "group"].to_numpy(), settings)
        headline.update(metrics.evaluate(row.targets, faces.labels, decoded, about["floors"]))
        numbers[part] = {key: value for key, value in headline.items() if value == value}
        tables.append(table)
        if part == "test":
            counts = counted(faces.labels, decoded)
    kept, out = predictions.FOLDER / name, Path("reports/models") / name
    (out / "plots").mkdir(parents=True, exist_ok=True)
    records.write(pd.concat(rows, ignore_index=True), kept / "predictions.csv")
    (kept / "metrics.json").write_text(json.dumps(numbers, indent=1) + "\n")
    told = {part: {key: scores.number(value, key) for key, value in row.items()} for part, row in numbers.items()}
    (out / "metrics.json").write_text(json.dumps(told, indent=1) + "\n")
    table = scores.table(pd.concat(tables, ignore_index=True))
    records.write(table, out / "scores.csv")
    records.write(counts, out / "counts.csv")
    history = pd.read_csv(f"data/models/{name}/history.csv") if about["best_epoch"] >= 0 else pd.DataFrame()
    history = scores.table(history.assign(epoch=history["epoch"] + 1)) if len(history) else history
    records.write(history, out / "history.csv")
    plots.save(plots.learning_curves(history, about["best_epoch"] + 1, name), out / "plots" / "learning_curves.png")
    if "test" in numbers:
        draw(name, row.targets, counts, table[table["part"] == "test"], out / "plots")
    keys = [f"{key}_{metrics.HEADLINE[targets.TARGETS[key].kind]}" for key in row.targets]
    best = {key: told["test"][key] for key in keys if key in told.get("test", {})}
    progress.say(f"{name}, test faces: " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in best.items()))


def score(
    labels: dict, decoded: dict, part: str, people: np.ndarray, settings: params.Evaluate
) -> tuple[dict[str, float], pd.DataFrame]:
    """Score one part; people: (n,) whose face each is, since intervals are by resampling people.

    Returns the headline numbers {TARGET_SCORE: value}, and rows of scores.csv: part, target, score, group, n, value,
    low, high. Intervals are for test; a group of fewer than min_n faces has no value.
    """
    headline, rows = {}, []
    for name, (values, known) in labels.items():
        target = targets.TARGETS[name]
        table = metrics.statistics(target, values, known, decoded)
        found = metrics.scores(target, table.sum(axis=0))
        limits = {}
        if part == "test":
            drawn = bootstrap.sums(bootstrap.gather(table, people), settings.resamples, settings.seed)
            limits = metrics.intervals(target, drawn, settings.confidence)
        counts = group_counts(target, values, known)
        n = int(found.pop("n"))
        for key, value in found.items():
            value = float(value)
            kind, _, group = key.partition("_")
            group = group if f"{kind}_{group}" == key and group in counts else ""
            size = counts.get(group, n)
            usable = size >= settings.min_n and value == value
            low, high = limits.get(key, (np.nan, np.nan)) if usable else (np.nan, np.nan)
            if low == high and kind in ("recall", "accuracy", "within", "bin"):
                low, high = bootstrap.exact(value, size, settings.confidence)
            rows.append((part, name, kind if group else key, group, size, value if usable else np.nan, low, high))
            if key in scores.HEADLINES[target.kind]:
                headline[f"{name}_{key}"] = value
    columns = ["part", "target", "score", "group", "n", "value", "low", "high"]
    return headline, pd.DataFrame(rows, columns=columns)


def group_counts(target: targets.Target, values: np.ndarray, known: np.ndarray) -> dict[str, int]:
    """Faces in each group that a target's scores are broken down by: age bins, or classes."""
    values = values[known > 0]
    if target.kind == "years":
        counts = np.bincount(targets.age_bin(values), minlength=len(targets.AGE_BINS))
        return dict(zip(targets.AGE_BINS, map(int, counts), strict=True))
    counts = np.bincount(values.astype(int), minlength=target.units)
    return dict(zip(target.classes, map(int, counts), strict=True))


def prediction_rows(faces: pd.DataFrame, part: str, decoded: dict) -> pd.DataFrame:
    """One row a face: face_id, group (whose it is), part, all its labels, and for each target its columns of decode.

    faces: rows of a split by face_id.
    """
    rows = pd.DataFrame({"face_id": faces.index, "group": faces["group"].to_numpy(), "part": part})
    for name, target in targets.TARGETS.items():
        labels = faces[name].to_numpy()
        if (target.kind == "years" and not np.isnan(labels.astype(float)).all()) or (
            target.kind == "classes" and (labels != "").any()
        ):
            rows[name] = labels
        if f"{name}_predicted" not in decoded:
            continue
        if target.kind == "years":
            for column in ("predicted", "mean", "low", "high"):
                rows[f"{name}_{column}"] = decoded[f"{name}_{column}"]
            rows[f"{name}_bin"] = np.array(targets.AGE_BINS)[decoded[f"{name}_bin"]]
            continue
        rows[f"{name}_predicted"] = np.array(target.classes)[decoded[f"{name}_predicted"]]
        for label in target.classes:
            rows[f"{name}_p_{label}"] = decoded[f"{name}_p_{label}"]
    return rows


def counted(labels: dict, decoded: dict) -> pd.DataFrame:
    """Rows of counts.csv: target, true, predicted and n, how many labelled faces; ages by the start of their STEP."""
    found = []
    for name, (values, known) in labels.items():
        target, pair = targets.TARGETS[name], (values, decoded[f"{name}_predicted"])
        whole = [side[known > 0].astype(int) for side in pair]
        said = [side // STEP * STEP if target.kind == "years" else np.array(target.classes)[side] for side in whole]
        rows = pd.DataFrame(dict(zip(("true", "predicted"), said, strict=True)))
        found.append(rows.groupby(["true", "predicted"]).size().rename("n").reset_index().assign(target=name))
    columns = ["target", "true", "predicted", "n"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def draw(name: str, wanted: list[str], counts: pd.DataFrame, scores: pd.DataFrame, folder: Path) -> None:
    """Draw the plots of each target on test, from rows of counts.csv and scores.csv."""
    for key in wanted:
        target, rows = targets.TARGETS[key], counts[counts["target"] == key]
        if target.kind == "classes":
            plots.save(plots.confusion(rows, target.classes, name, key), folder / f"{key}_confusion.png")
            continue
        by_bin = scores[(scores["target"] == key) & (scores["score"] == "mae") & (scores["group"] != "")]
        plots.save(plots.predicted_against_true(rows, STEP, name), folder / f"{key}_predicted_against_true.png")
        plots.save(plots.histograms(rows, STEP, name), folder / f"{key}_histogram.png")
        plots.save(plots.error_by_age(by_bin, name), folder / f"{key}_error_by_age.png")


if __name__ == "__main__":
    running.stage(main)
