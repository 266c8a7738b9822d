"""Small files of a finished model that load without this project: stock Keras layers, float16 weights, 8-bit ONNX."""

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
from onnx import TensorProto, helper, numpy_helper

from faces import networks, targets
from faces.data.sample import drawing
from faces.images import preprocessing
from faces.inference.predictor import Predictor
from faces.training import export

USE = """## Use it
Research only: see `LICENSE`. `image` is `(n, {size}, {size}, 3)` uint8 RGB: {view}. Out come probabilities: {outputs};
and `embedding`, which alike faces are near in.

Without this project:

```python
import keras, numpy as np, onnxruntime
from PIL import Image, ImageOps

{pixels}
image = np.asarray(face)[None]
keras.models.load_model("{name}.keras").predict(image)  # {{output: probabilities}}
onnxruntime.InferenceSession("{name}.onnx").run(None, {{"image": image}})
```

`{name}.int8.onnx` is for where speed counts: its convolutions are in 8 bits, for which ONNX Runtime uses what
instructions the processor has, and it looks at a face once, never at its mirror image. `reports/published/{name}/` says
what each file scores.

With it, in years, classes, an interval and calibrated probabilities (the ONNX file holds what they need), of whole
chips of any size:

```
python -m faces.inference.predictor --model pretrained/{name}.onnx PICTURE ...
```
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

    def plain(node: object) -> None:
        if isinstance(node, dict):
            if node.get("registered_name") == f"faces>{networks.FusedBatchNormalization.__name__}":
                node.update(module="keras.layers", class_name="BatchNormalization", registered_name=None)
            if str(node.get("registered_name")).startswith("faces>"):
                raise SystemExit(f"{node['class_name']} is a layer of this project, and no stock layer of Keras")
            for value in node.values():
                plain(value)
        elif isinstance(node, list):
            for value in node:
                plain(value)

    config = model.get_config()
    plain(config)
    rebuilt = type(model).from_config(config)
    rebuilt.set_weights(model.get_weights())
    return rebuilt


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
    for matrix in [x for x in graph.initializer if len(x.dims) >= 2 and x.data_type == TensorProto.FLOAT]:
        stored = numpy_helper.from_array(numpy_helper.to_array(matrix).astype(np.float16), f"{matrix.name}_stored")
        graph.initializer.remove(matrix)
        graph.initializer.append(stored)
        graph.node.insert(0, helper.make_node("Cast", [stored.name], [matrix.name], to=TensorProto.FLOAT))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def write_int8(source: Path, images: np.ndarray, path: Path) -> None:
    """Write an ONNX file whose convolutions compute in 8 bits: weights scaled by channel, activations by images.

    images: (n, s, s, 3) uint8 of training faces. Weights use 7 of the 8 bits, since processors without VNNI
    instructions would overflow. All other layers stay float32.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter([{"image": images[at : at + 32]} for at in range(0, len(images), 32)])

        def get_next(self) -> dict | None:
            return next(self.batches, None)

    properties = {entry.key: entry.value for entry in onnx.load(source).metadata_props}
    with tempfile.TemporaryDirectory() as folder:
        folded, small = Path(folder) / "folded.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(source), str(folded), skip_symbolic_shape=True)
        quantization.quantize_static(
            folded, small, Reader(), op_types_to_quantize=["Conv"], per_channel=True, reduce_range=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": PERCENTILE},
        )  # fmt: skip
        model = onnx.load(small)
    onnx.helper.set_model_props(model, properties)
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
    outputs = [f"`{target}` (n, {targets.TARGETS[target].units}), {meaning(target)}" for target in about["targets"]]
    side, crop, size = about["pack_size"], about.get("crop", about["image_size"]), about["image_size"]
    shown = crop / about["zoom"]
    view = f"a face that is framed as in UTKFace's aligned and cropped chips and resized to {side} x {side} pixels "
    view += f"(bicubic), of which the middle {shown:.4g} x {shown:.4g}{', the edge repeated,' if shown > side else ''} "
    view += f"are shown in {size} x {size}, each read from the four nearest (bilinear): by another filter a face is "
    view += "sharper or softer, and looks older or younger"
    less = preprocessing.reduction_factor(side, crop, size)
    edge = max(0, math.ceil((shown - side) / less / 2)) + 1  # as preprocessing.to_input, whose rounding the edge moves
    pixels = PIXELS.format(side=side, crop=crop, size=size, zoom=about["zoom"], less=less, edge=edge)
    use = USE.format(name=name, size=size, view=view, outputs="; ".join(outputs), pixels=pixels)
    head, mark, rest = text.partition("\n## Scores\n")
    return f"{head}\n{use}{mark}{rest}"


def meaning(target: str) -> str:
    """What the units of a target are."""
    head = targets.TARGETS[target]
    return "of whole years from 0" if head.kind == "years" else f"of {', '.join(head.classes)}"
