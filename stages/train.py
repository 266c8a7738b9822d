"""Train one model: packs, split, soft targets, data/tuned/MODEL.json -> data/models/MODEL/ (weights, ONNX, history)."""

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

CHECKED = 64  # images
PARITY = 1e-4  # largest difference of a probability between Keras and ONNX Runtime


def main(name: str) -> None:
    """Train with the tuned values, keep the best epoch, export, and check the export against Keras."""
    p = params.load()
    row = p.models[name]
    pack, split = labelled_faces.open_pack(row)
    settings, budget, row = overrides.for_row(p, row)
    tuned = Path("data/tuned") / f"{name}.json"
    settings = overrides.with_values(settings, json.loads(tuned.read_text())["values"])
    from faces.training import (  # here: TensorFlow loads after errors in params and data are raised
        jobs,
        reproducibility,
    )

    precision = reproducibility.resolved(budget.precision)
    budget = budget.model_copy(update={"precision": precision})
    (train, ids), (val, _) = (labelled_faces.select_part(split, pack, part, row.targets) for part in ("train", "val"))
    folder = Path("data/soft_targets") / row.teachers
    soft = soft_targets.read(folder, ids, row.targets)
    files = [tuned, folder / soft_targets.FILE]
    recipe = overrides.recipe(settings, budget, row)
    key = fingerprint.key("train", name, [row], recipe, files)
    with (
        running.unfinished("train", name, key) as state,
        live.training_run(row.dataset, row.variant, name, key, recipe) as log,
    ):
        progress.say(f"{name}: training on {len(train)} faces, validating on {len(val)} (val)")
        say = progress.Epochs(name, budget.epochs)

        def on_epoch(_: int, epoch: int, numbers: dict[str, float]) -> None:
            say(epoch, numbers)
            log(epoch, numbers)

        side = pack.manifest["side"]
        job = jobs.Job(settings, budget.epochs, budget.train_minutes, state)
        ((_, fitted),) = jobs.train_all([job], on_epoch, row, train, val, side, precision, soft)
        model = jobs.trained_model(row, settings, precision, fitted)
        metadata = {
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
            "best_epoch": fitted.best_epoch,
            "cut_short": fitted.cut_short,
            "dummy_baseline": fitted.baselines,
            "recipe": recipe,
        }
        images = next(labelled_faces.pixels(val, *labelled_faces.view(side, settings), step=CHECKED))
        write(model, fitted, metadata, Path("data/models") / name, images, tta_flip=settings.tta_flip)


def write(model: keras.Model, fitted: Fitted, metadata: dict, out: Path, images: np.ndarray, *, tta_flip: bool) -> None:
    """Write the files of a trained model, and check its export against it on images (n, s, s, 3) uint8."""
    from faces.training import callbacks, export

    out.mkdir(parents=True, exist_ok=True)
    model.save_weights(out / "model.weights.h5")
    (out / "network.json").write_text(model.to_json() + "\n")
    records.write(pd.DataFrame(fitted.history).round(6), out / "history.csv")
    (out / "model.json").write_text(json.dumps(metadata, indent=1) + "\n")
    export.export_onnx(model, out / "model.onnx", {"faces": json.dumps(metadata)}, tta_flip=tta_flip)
    expected = callbacks.probabilities(export.in_float32(model), images, tta_flip=tta_flip)
    check_parity(exported(out / "model.onnx", list(expected), images), expected)


def exported(path: Path, names: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs of an exported model, in ONNX Runtime, for images (n, s, s, 3) uint8."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, {"image": images}), strict=True))


def check_parity(by_onnx: dict[str, np.ndarray], by_keras: dict[str, np.ndarray]) -> None:
    """Raise SystemExit where a probability of the exported model differs from that of Keras in float32."""
    worst = max(float(np.abs(by_onnx[name] - by_keras[name]).max()) for name in by_keras)
    if not worst <= PARITY:
        raise SystemExit(f"the ONNX export differs from Keras by {worst:.2g} in a probability, more than {PARITY}")


if __name__ == "__main__":
    running.stage(main)
