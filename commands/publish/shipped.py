"""A finished model's files in pretrained/, and the scores of each file."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from faces import params, targets
from faces.data import labelled_faces
from faces.data.sample import drawing
from faces.evaluation import calibration, metrics
from faces.inference.predictor import Predictor, with_calibration
from faces.tracking import models

FOLDER = Path("pretrained")
INTERVAL = ("ages inside the interval", "width of the interval, years")


def write(name: str, row: params.Model) -> list[Path]:
    """Write a model's files, its card, and the files' predictions of synthetic faces; returns the files, ONNX first.

    Raises SystemExit where a file is larger than model_files.MEGABYTES.
    """
    from commands.publish import model_files
    from faces.params import overrides
    from faces.training import export, loop

    about = json.loads(Path(f"data/models/{name}/model.json").read_text())
    model = loop.build_network(row, overrides.from_recipe(about["recipe"]))
    model.load_weights(f"data/models/{name}/model.weights.h5")
    calibrated = Path(f"data/calibrated/{name}/model.onnx")
    FOLDER.mkdir(exist_ok=True)
    files = [FOLDER / f"{name}.{kind}" for kind in ("onnx", "int8.onnx", "keras")]
    model_files.write_onnx(calibrated, files[0])
    properties = metadata(calibrated)
    with tempfile.TemporaryDirectory() as folder:
        once, small = Path(folder) / "once.onnx", Path(folder) / "int8.onnx"
        export.export_onnx(model, once, properties)
        model_files.write_int8(once, load(row, "train", calibrated, model_files.CALIBRATION_FACES)[0], small)
        with_calibration(small, recalibrated(small, row, json.loads(properties["calibration"])), files[1])
    model_files.write_keras(model, files[2], tta_flip=about["recipe"]["train"]["tta_flip"])
    for path in files:
        megabytes = path.stat().st_size / 1e6
        if megabytes > model_files.MEGABYTES:
            raise SystemExit(f"{path} has {megabytes:.1f} MB: at most {model_files.MEGABYTES} are shipped")
    card = Path(f"reports/cards/models/{name}.md").read_text()
    (FOLDER / f"{name}.md").write_text(model_files.card(card, name, about))
    for path, tolerance in ((files[0], model_files.TOLERANCE), (files[1], model_files.TOLERANCE_INT8)):
        model_files.write_expected(path, path.with_suffix(".expected.json"), tolerance)
    models.write_folder(files[0], drawing.example_picture())
    return files


def recalibrated(model: Path, row: params.Model, before: dict[str, dict]) -> dict[str, dict]:
    """Calibration of an ONNX file's own probabilities, at the confidence of the calibration that it was made from.

    It differs for a file that computes otherwise, or does not average with the mirror image.
    """
    from faces.evaluation import calibration_fit

    images, faces = load(row, "calibration", model)
    confidence = next((fitted["confidence"] for fitted in before.values() if "confidence" in fitted), 0.9)
    return calibration_fit.fit(Predictor(model).raw(images), faces.labels, confidence)


def metadata(model: Path) -> dict[str, str]:
    """Metadata of an ONNX file."""
    import onnx

    return {entry.key: entry.value for entry in onnx.load(model).metadata_props}


def load(row: params.Model, part: str, model: Path, at_most: int = 0) -> tuple[np.ndarray, labelled_faces.Faces]:
    """Inputs (n, s, s, 3) uint8 of an ONNX model for the faces of a part, and the faces; at_most: spread evenly."""
    pack, split = labelled_faces.open_pack(row)
    faces, _ = labelled_faces.select_part(split, pack, part, row.targets)
    if 0 < at_most < len(faces):
        faces = faces.where(np.linspace(0, len(faces) - 1, at_most).astype(int))
    return np.concatenate([*labelled_faces.pixels(faces, *Predictor(model).view)]), faces


def scores(files: list[Path], row: params.Model, headlines: tuple[tuple[str, str, str], ...]) -> pd.DataFrame:
    """One row a shipped file, the first an ONNX file: file, megabytes, and the headlines on test, by their titles.

    Those of ONNX files are of calibrated probabilities, and INTERVAL is of their age intervals. A Keras file holds
    neither: its scores are of the network itself.

    headlines: rows of target, score, title.
    """
    import keras

    images, faces = load(row, "test", files[0])
    rows = []
    for path in files:
        cells = {}
        if path.suffix == ".keras":
            probabilities = keras.models.load_model(path).predict(images, verbose=0)
        else:
            predictor = Predictor(path)
            probabilities = predictor.probabilities(images)
            if "scale" in predictor.fitted.get("age", {}):
                cells = interval_scores(probabilities["age"], predictor.fitted["age"], *faces.labels["age"])
        for name, score, title in headlines:
            if name in row.targets:
                target = targets.TARGETS[name]
                decoded = targets.decode(target, probabilities[name])
                totals = metrics.statistics(target, *faces.labels[name], decoded).sum(axis=0)
                cells[title] = float(metrics.scores(target, totals)[score])
        rows.append({"file": path.name, "megabytes": path.stat().st_size / 1e6, **cells})
    table = pd.DataFrame(rows)
    return table[[*[key for key in table if key not in INTERVAL], *[key for key in INTERVAL if key in table]]]


def interval_scores(p: np.ndarray, fitted: dict[str, float], ages: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Share of known ages inside the age intervals, and mean width in years, keyed by INTERVAL.

    p: (n, years); fitted: as calibration.age_interval takes it; ages, known: (n,) as targets.encode returns them.
    """
    low, high = calibration.age_interval(p, fitted)
    inside, at = (low <= ages) & (ages <= high), known > 0
    return dict(zip(INTERVAL, (float(inside[at].mean()), float((high - low)[at].mean())), strict=True))
