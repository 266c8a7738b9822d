"""Files of a finished model that go into pretrained/, and what each is worth, for `make publish`."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from stages.lib import faces, metrics, params, targets
from stages.lib.predictor import Predictor

FOLDER = Path("pretrained")


def write(name: str, row: params.Model) -> list[Path]:
    """Write the files of a model, its card, and what they say of drawn faces; the files are returned, ONNX first.

    Raises SystemExit where a file is larger than what is shipped.
    """
    from stages.lib import shipping, training

    about = json.loads(Path(f"data/models/{name}/model.json").read_text())
    model = training.network(row, params.Train(**about["recipe"]["train"]))
    model.load_weights(f"data/models/{name}/model.weights.h5")
    whole = Path(f"data/calibrated/{name}/model.onnx")
    FOLDER.mkdir(exist_ok=True)
    files = [FOLDER / f"{name}.{kind}" for kind in ("onnx", "int8.onnx", "keras")]
    shipping.write_onnx(whole, files[0])
    with tempfile.TemporaryDirectory() as folder:
        once = Path(folder) / "once.onnx"
        training.export_onnx(model, once, metadata(whole), views=1)
        shipping.write_int8(once, pictures(row, "train", whole, shipping.SEEN)[0], files[1])
    shipping.write_keras(model, about["recipe"]["train"]["views"], files[2])
    for path in files:
        if path.stat().st_size > 1e6 * shipping.MEGABYTES:
            raise SystemExit(f"{path} has {path.stat().st_size / 1e6:.1f} MB: at most {shipping.MEGABYTES} are shipped")
    card = Path(f"reports/cards/models/{name}.md").read_text()
    (FOLDER / f"{name}.md").write_text(shipping.card(card, name, about))
    for path, tolerance in ((files[0], shipping.TOLERANCE), (files[1], shipping.TOLERANCE_INT8)):
        shipping.write_expected(path, path.with_suffix(".expected.json"), tolerance)
    return files


def metadata(model: Path) -> dict[str, str]:
    """What an ONNX file says of itself."""
    import onnx

    return {entry.key: entry.value for entry in onnx.load(model).metadata_props}


def pictures(row: params.Model, part: str, model: Path, at_most: int = 0) -> tuple[np.ndarray, faces.Faces]:
    """Pictures (n, s, s, 3) uint8 of a part as an ONNX model sees them, and their faces; at_most: spread evenly."""
    pack, split = faces.open_pack(row)
    found, _ = faces.of(split, pack, part, row.targets)
    if 0 < at_most < len(found):
        found = found.where(np.linspace(0, len(found) - 1, at_most).astype(int))
    return np.concatenate([*faces.pixels(found, *Predictor(model).view)]), found


def scores(files: list[Path], row: params.Model, headlines: tuple[tuple[str, str, str], ...]) -> pd.DataFrame:
    """One row a shipped file, the first an ONNX file: file, megabytes, and the headlines on test, by their titles.

    Of an ONNX file's calibrated probabilities, and those of the network itself for a Keras file, which holds no others.

    headlines: (target, score, title) each.
    """
    import keras

    images, found = pictures(row, "test", files[0])
    rows = []
    for path in files:
        if path.suffix == ".keras":
            said = keras.models.load_model(path).predict(images, verbose=0)
        else:
            said = Predictor(path).probabilities(images)
        cells = {}
        for name, score, title in [each for each in headlines if each[0] in row.targets]:
            target = targets.TARGETS[name]
            each = metrics.statistics(target, *found.labels[name], targets.decode(target, said[name]))
            cells[title] = float(metrics.scores(target, each.sum(axis=0))[score])
        rows.append({"file": path.name, "megabytes": path.stat().st_size / 1e6, **cells})
    return pd.DataFrame(rows)
