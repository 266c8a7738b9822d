"""Fit a finished model's intervals and probabilities on the calibration part: data/models/M/ -> data/calibrated/M/."""

import json
from pathlib import Path

import numpy as np

from faces import params, targets
from faces.data import labelled_faces
from faces.evaluation import calibration_fit
from faces.inference.predictor import Predictor, with_calibration
from faces.runtime import progress, running


def main(name: str) -> None:
    """Predict the calibration faces, which neither stopping nor search saw, and put what they tell into the model."""
    p = params.load()
    row = p.models[name]
    pack, split = labelled_faces.open_pack(row)
    predictor = Predictor(f"data/models/{name}/model.onnx")
    found, _ = labelled_faces.select_part(split, pack, "calibration", row.targets)
    images = labelled_faces.pixels(found, *predictor.view)
    parts = [predictor.raw(batch) for batch in progress.bar(images, f"{name} calibration", unit="batches")]
    said = {
        key: np.concatenate([part[key] for part in parts]) if parts else np.zeros((0, targets.TARGETS[key].units))
        for key in found.labels
    }
    fitted = calibration_fit.fit(said, found.labels, p.calibrate.confidence)
    out = Path("data/calibrated") / name
    out.mkdir(parents=True, exist_ok=True)
    (out / "calibration.json").write_text(json.dumps(fitted, indent=1) + "\n")
    with_calibration(Path(f"data/models/{name}/model.onnx"), fitted, out / "model.onnx")
    told = [f"{key} {row['temperature']:.2f} ({row['n']} faces)" for key, row in fitted.items()]
    progress.say(f"{name}: temperature fitted on the calibration part: {', '.join(told)}")


if __name__ == "__main__":
    running.stage(main)
