"""Measure what changes of the image do to a model: robustness.csv.

Each change of faces/images/corruptions.py is made to the network's input in three strengths. The faces are those of
pooled.csv of the published model: validation, calibration and test together when it was written. A face of it in the
training part is an error. Differences from the unchanged image are paired. It needs the pack and the split of the
model's recipe: `make recipe`, then `dvc repro split pack`.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from commands import command_line
from faces import params, targets
from faces.data import labelled_faces, provenance, records
from faces.evaluation import gains, predictions
from faces.images import corruptions
from faces.inference.predictor import Predictor
from faces.reporting import published
from faces.runtime import progress

POOLED = ("val", "calibration", "test")
MEANS = {"years": ("mae", "coverage"), "classes": ("accuracy",)}  # scores that are means over faces, by kind of target


def main() -> None:
    """Write and print the table."""
    parser = command_line.parser(__doc__)
    parser.add_argument("name", nargs="?", default="utkface", help="a recipe, and its model (default: %(default)s)")
    parser.add_argument("--model", help="as in `python -m commands.predict`; default: the shipped folder of that name")
    args = parser.parse_args()
    p = params.load()
    command_line.require(args.name in p.models, f"params.yaml has no model {args.name}: `make recipe` writes it")
    row = p.models[args.name]
    command_line.require(
        provenance.read(row.dataset, row.variant)["kind"] != "sample",
        "these are synthetic faces: name a source of photos",
    )
    predictor, version = command_line.load_model(args.model or f"pretrained/{args.name}")
    images, faces = pooled(row, predictor, published.FOLDER / args.name / published.POOLED)
    table = pd.DataFrame(rows(images, faces, predictor, p.evaluate.confidence)).assign(model=version)
    out = published.FOLDER / args.name / published.ROBUSTNESS
    records.write(table.round(6), out)
    print(table.to_markdown(index=False))
    print(f"{version}, {len(faces)} faces: `python -m commands.publish {args.name} --page` shows {out}")


def pooled(row: params.Model, predictor: Predictor, path: Path) -> tuple[np.ndarray, pd.DataFrame]:
    """Inputs (n, s, s, 3) uint8 of the faces that a file lists, and their rows of the split.

    Where the file is missing, it is written, with the faces of POOLED. Raises SystemExit where a face of it is missing,
    or in the training part.
    """
    pack, split = labelled_faces.open_pack(row)
    split["face"] = [hashlib.sha256(face.encode()).hexdigest()[:16] for face in split["face_id"]]
    if not path.exists():
        records.write(split.loc[split["part"].isin(POOLED), ["face"]].sort_values("face"), path)
    listed = pd.read_csv(path, dtype=str)["face"]
    chosen, count = split[split["face"].isin(listed)], len(listed)
    command_line.require(len(chosen) == count, f"{path}: {count - len(chosen)} of {count} faces are not in the split")
    seen = (chosen["part"] == "train").sum()
    command_line.require(not seen, f"{path}: {seen} of its faces are in the training part of this split")
    faces, ids = labelled_faces.select_part(chosen.assign(part=""), pack, "", row.targets)
    images = np.concatenate([*labelled_faces.pixels(faces, *predictor.view)])
    return images, chosen.set_index("face_id").loc[ids]


def rows(images: np.ndarray, faces: pd.DataFrame, predictor: Predictor, confidence: float) -> Iterator[dict]:
    """One row a change, strength and score: n, value, difference from the unchanged images, low, high.

    For ages, also change: mean change of the prediction in years, and absolute_change: mean of its size.
    """
    before = predicted(images, faces, predictor)
    tasks = [("none", 0.0), *((name, value) for name, (_, values) in corruptions.CHANGES.items() for value in values)]
    for name, strength in progress.bar(tasks, "robustness", len(tasks), "changes"):
        after = before if name == "none" else predicted(corruptions.apply(name, strength, images), faces, predictor)
        for target in predictions.scored_targets(after):
            old, new = (predictions.face_scores(table, target) for table in (before, after))
            for score in MEANS[target.kind]:
                gain = gains.paired(new[score], old[score], faces["group"].to_numpy())
                n, value = int(np.isfinite(new[score]).sum()), float(np.nanmean(new[score]))
                yield {"change": name, "strength": strength, "target": target.name, "score": score, "n": n,
                       "value": value, **gains.interval(gain, confidence), **moved(target, before, after)}  # fmt: skip


def predicted(images: np.ndarray, faces: pd.DataFrame, predictor: Predictor) -> pd.DataFrame:
    """Rows of predictions.csv of the inputs of faces."""
    return predictions.as_rows(faces, "test", predictor.decode(images))


def moved(target: targets.Target, before: pd.DataFrame, after: pd.DataFrame) -> dict[str, float]:
    """Mean change, and mean absolute change, of the predicted years; {} of classes."""
    if target.kind != "years":
        return {}
    change = (after[f"{target.name}_predicted"] - before[f"{target.name}_predicted"]).to_numpy()
    return {"change_years": float(change.mean()), "absolute_change_years": float(np.abs(change).mean())}


if __name__ == "__main__":
    command_line.run(main)
