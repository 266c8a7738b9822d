"""Fit a finished model's intervals and probabilities on the calibration part: data/models/M/ -> data/calibrated/M/."""

from pathlib import Path

import numpy as np

from faces import params, targets
from faces.data import labelled_faces, records
from faces.evaluation import calibration_fit
from faces.inference.predictor import Predictor, with_calibration
from faces.runtime import progress, running


def main(name: str) -> None:
    """Predict the calibration faces, which stopping and search do not use, and write the fit into the ONNX model."""
    p = params.load()
    row = p.models[name]
    pack, split = labelled_faces.open_pack(row)
    predictor = Predictor(f"data/models/{name}/model.onnx")
    faces, _ = labelled_faces.select_part(split, pack, "calibration", row.targets)
    images = labelled_faces.pixels(faces, *predictor.view)
    batches = [predictor.raw(batch) for batch in progress.bar(images, f"{name} calibration", unit="batches")]
    probabilities = {
        key: np.concatenate([np.zeros((0, targets.TARGETS[key].units), np.float32), *(batch[key] for batch in batches)])
        for key in faces.labels
    }
    fitted = calibration_fit.fit(probabilities, faces.labels, p.calibrate.confidence)
    out = Path("data/calibrated") / name
    records.write_json(fitted, out / "calibration.json")
    with_calibration(Path(f"data/models/{name}/model.onnx"), fitted, out / "model.onnx")
    shown = [f"{key} {row['temperature']:.2f} ({row['n']} faces)" for key, row in fitted.items()]
    progress.say(f"{name}: temperature fitted on the calibration part: {', '.join(shown)}")


if __name__ == "__main__":
    running.stage(main)
