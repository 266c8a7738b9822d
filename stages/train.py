"""Train one model: packs, split, data/tuned/MODEL.json, a lesson -> data/models/MODEL/ (weights, ONNX, history)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from faces import params
from faces.data import labelled_faces, records
from faces.params import overrides
from faces.runtime import progress, running
from faces.tracking import live
from faces.training import fingerprint, soft_targets

if TYPE_CHECKING:
    import keras

    from faces.training.jobs import Fitted

CHECKED = 64  # pictures
PARITY = 1e-4  # largest difference of a probability between Keras and ONNX Runtime


def main(name: str) -> None:
    """Train with the tuned numbers, keep the best epoch, export, and hold the export against Keras."""
    p = params.load()
    row = p.models[name]
    pack, split = labelled_faces.open_pack(row)
    p, row = overrides.for_row(p, row, pack.manifest["kind"])
    budget = overrides.budget_for(p, pack.manifest["kind"])
    tuned = Path("data/tuned") / f"{name}.json"
    settings = overrides.with_value(p.train, json.loads(tuned.read_text())["values"])
    from faces.training import (
        jobs,  # here: faults of params and data are told before TensorFlow loads
        reproducibility,
    )

    precision = reproducibility.resolved(budget.precision)
    budget = budget.model_copy(update={"precision": precision})
    (train, ids), (val, _) = (labelled_faces.select_part(split, pack, part, row.targets) for part in ("train", "val"))
    lesson = Path("data/lessons") / row.lesson
    taught = soft_targets.read(lesson, ids, row.targets)
    key = fingerprint.of("train", name, [row], p, ("train", "budget", "budgets"), [tuned, lesson / soft_targets.FILE])
    recipe = {"model": row.model_dump(), "budget": budget.model_dump(), "train": settings.model_dump()}
    with (
        running.unfinished("train", name, key) as place,
        live.training_run(row.dataset, row.variant, name, key, recipe) as log,
    ):
        progress.say(f"{name}: training on {len(train)} faces, validating on {len(val)} (val)")
        say = progress.Epochs(name, budget.epochs)

        def tell(_: int, epoch: int, numbers: dict[str, float]) -> None:
            say(epoch, numbers)
            log(epoch, numbers)

        side = pack.manifest["side"]
        job = jobs.Job(settings, budget.epochs, budget.train_minutes, place)
        ((_, found),) = jobs.run([job], tell, row, train, val, side, precision, taught)
        model = jobs.model(row, settings, precision, found)
        about = {
            "name": name,
            "fingerprint": key,
            "dataset": row.dataset,
            "variant": row.variant,
            "kind": pack.manifest["kind"],
            "network": row.network,
            "targets": row.targets,
            "parameters": int(model.count_params()),
            "pack_size": side,
            "crop": settings.crop or settings.image_size,
            "zoom": settings.zoom,
            "image_size": settings.image_size,
            "best_epoch": found.best_epoch,
            "cut_short": found.cut_short,
            "floors": found.floors,
            "recipe": recipe,
        }
        images = next(labelled_faces.pixels(val, *labelled_faces.view(side, settings), step=CHECKED))
        write(model, found, about, Path("data/models") / name, settings.views, images)


def write(model: keras.Model, found: Fitted, about: dict, out: Path, views: int, images: np.ndarray) -> None:
    """Write the files of a trained model, and hold its export against it for pictures (n, s, s, 3) uint8."""
    from faces.training import callbacks, export

    out.mkdir(parents=True, exist_ok=True)
    model.save_weights(out / "model.weights.h5")
    (out / "network.json").write_text(model.to_json() + "\n")
    records.write(pd.DataFrame(found.history).round(6), out / "history.csv")
    (out / "model.json").write_text(json.dumps(about, indent=1) + "\n")
    export.export_onnx(model, out / "model.onnx", {"faces": json.dumps(about)}, views)
    wanted = callbacks.probabilities(export.in_float32(model), images, views)
    check_parity(exported(out / "model.onnx", list(wanted), images), wanted)


def exported(path: Path, names: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs of an exported model, in ONNX Runtime, for pictures (n, s, s, 3) uint8."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, {"image": images}), strict=True))


def check_parity(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    """Raise SystemExit where the exported model's probabilities stray from Keras's in float32, as it is exported."""
    worst = max(float(np.abs(found[name] - wanted[name]).max()) for name in wanted)
    if not worst <= PARITY:
        raise SystemExit(f"the ONNX export differs from Keras by {worst:.2g} in a probability, more than {PARITY}")


if __name__ == "__main__":
    running.stage(main)
