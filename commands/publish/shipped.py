"""Files of a finished model that go into pretrained/, and what each is worth, for `make publish`."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from faces import params, targets
from faces.data import labelled_faces
from faces.data.sample import drawing
from faces.evaluation import metrics
from faces.inference.predictor import Predictor, with_calibration
from faces.tracking import models

FOLDER = Path("pretrained")
INTERVAL = ("ages inside the interval", "width of the interval, years")


def write(name: str, row: params.Model) -> list[Path]:
    """Write the files of a model, its card, and what they say of drawn faces; the files are returned, ONNX first.

    Raises SystemExit where a file is larger than what is shipped.
    """
    from commands.publish import model_files
    from faces.training import export, loop

    about = json.loads(Path(f"data/models/{name}/model.json").read_text())
    model = loop.build_network(row, params.Train(**about["recipe"]["train"]))
    model.load_weights(f"data/models/{name}/model.weights.h5")
    whole = Path(f"data/calibrated/{name}/model.onnx")
    FOLDER.mkdir(exist_ok=True)
    files = [FOLDER / f"{name}.{kind}" for kind in ("onnx", "int8.onnx", "keras")]
    model_files.write_onnx(whole, files[0])
    told = metadata(whole)
    with tempfile.TemporaryDirectory() as folder:
        once = Path(folder) / "once.onnx"
        export.export_onnx(model, once, told)
        small = Path(folder) / "int8.onnx"
        model_files.write_int8(once, pictures(row, "train", whole, model_files.SEEN)[0], small)
        with_calibration(small, fitted(small, row, json.loads(told["calibration"])), files[1])
    model_files.write_keras(model, about["recipe"]["train"]["views"], files[2])
    for path in files:
        if path.stat().st_size > 1e6 * model_files.MEGABYTES:
            raise SystemExit(
                f"{path} has {path.stat().st_size / 1e6:.1f} MB: at most {model_files.MEGABYTES} are shipped"
            )
    card = Path(f"reports/cards/models/{name}.md").read_text()
    (FOLDER / f"{name}.md").write_text(model_files.card(card, name, about))
    for path, tolerance in ((files[0], model_files.TOLERANCE), (files[1], model_files.TOLERANCE_INT8)):
        model_files.write_expected(path, path.with_suffix(".expected.json"), tolerance)
    models.write_folder(files[0], drawing.example_picture())
    return files


def fitted(model: Path, row: params.Model, before: dict[str, dict]) -> dict[str, dict]:
    """What calibration keeps of an ONNX file's own probabilities, at the confidence of those that were fitted before.

    A file that computes otherwise, or looks once where the model looks twice, has other doubts.
    """
    from faces.evaluation import calibration_fit

    images, found = pictures(row, "calibration", model)
    confidence = next((each["confidence"] for each in before.values() if "confidence" in each), 0.9)
    return calibration_fit.fit(Predictor(model).raw(images), found.labels, confidence)


def metadata(model: Path) -> dict[str, str]:
    """What an ONNX file says of itself."""
    import onnx

    return {entry.key: entry.value for entry in onnx.load(model).metadata_props}


def pictures(row: params.Model, part: str, model: Path, at_most: int = 0) -> tuple[np.ndarray, labelled_faces.Faces]:
    """Pictures (n, s, s, 3) uint8 of a part as an ONNX model sees them, and their faces; at_most: spread evenly."""
    pack, split = labelled_faces.open_pack(row)
    found, _ = labelled_faces.select_part(split, pack, part, row.targets)
    if 0 < at_most < len(found):
        found = found.where(np.linspace(0, len(found) - 1, at_most).astype(int))
    return np.concatenate([*labelled_faces.pixels(found, *Predictor(model).view)]), found


def scores(files: list[Path], row: params.Model, headlines: tuple[tuple[str, str, str], ...]) -> pd.DataFrame:
    """One row a shipped file, the first an ONNX file: file, megabytes, and the headlines on test, by their titles.

    Of an ONNX file's calibrated probabilities, and those of the network itself for a Keras file, which holds no others
    and no interval; of those of ONNX files, the share of ages that they hold, and their mean width in years.

    headlines: (target, score, title) each.
    """
    import keras

    images, found = pictures(row, "test", files[0])
    rows = []
    for path in files:
        cells = {}
        if path.suffix == ".keras":
            said = keras.models.load_model(path).predict(images, verbose=0)
        else:
            predictor = Predictor(path)
            said = predictor.probabilities(images)
            if "age" in row.targets:
                cells = interval(predictor, images, *found.labels["age"])
        for name, score, title in [each for each in headlines if each[0] in row.targets]:
            target = targets.TARGETS[name]
            each = metrics.statistics(target, *found.labels[name], targets.decode(target, said[name]))
            cells[title] = float(metrics.scores(target, each.sum(axis=0))[score])
        rows.append({"file": path.name, "megabytes": path.stat().st_size / 1e6, **cells})
    table = pd.DataFrame(rows)
    return table[[*[key for key in table if key not in INTERVAL], *[key for key in INTERVAL if key in table]]]


def interval(predictor: Predictor, images: np.ndarray, ages: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Share of known ages that a model's intervals hold, and their mean width in years, by what they are called."""
    columns = predictor.decode(images)
    if "age_low" not in columns:
        return {}
    low, high, at = columns["age_low"], columns["age_high"], known > 0
    held = (low <= ages) & (ages <= high)
    return dict(zip(INTERVAL, (float(held[at].mean()), float((high - low)[at].mean())), strict=True))
