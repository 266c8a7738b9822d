"""Shipped files are small, predict as the model does, and load without this project."""

import subprocess
import sys
import zipfile

import keras
import numpy as np
import onnx
import onnxruntime

from commands.publish import model_files
from faces import networks
from faces.training import callbacks, export

HEADS = {"age": 125, "sex": 2, "ethnicity": 5}
ALONE = """
import sys, keras, numpy as np
model = keras.models.load_model(sys.argv[1])
assert {weight.dtype for weight in model.weights} == {"float32"}
with np.load(sys.argv[2]) as known:
    predicted = model.predict(known["images"], verbose=0)
    for name in ("age", "sex", "ethnicity"):
        assert np.abs(predicted[name] - known[name]).max() < 2e-3, name
assert not any(name.startswith("faces") for name in sys.modules)
"""


def trained():
    """A network whose batch statistics are not those that it starts with."""
    keras.utils.set_random_seed(0)
    model = networks.build("residual", 32, HEADS, 0.0, {"widths": [16, 32], "blocks": [1, 1]})
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(np.abs(rng.normal(1, 0.2, weight.shape)))
    return model, rng.integers(0, 256, (6, 32, 32, 3), np.uint8)


def test_the_keras_file_is_half_as_large_and_loads_alone(tmp_path):
    model, images = trained()
    path = tmp_path / "model.keras"
    model_files.write_keras(model, path, tta_flip=True)
    model.save(tmp_path / "whole.keras")
    assert path.stat().st_size < 0.75 * (tmp_path / "whole.keras").stat().st_size
    np.savez(tmp_path / "known.npz", images=images, **callbacks.probabilities(model, images, tta_flip=True))
    command = [sys.executable, "-c", ALONE, str(path), str(tmp_path / "known.npz")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_same_model_gives_the_same_keras_file(tmp_path):
    for name in ("first.keras", "second.keras"):
        keras.utils.clear_session()  # as in a process of its own
        model_files.write_keras(trained()[0], tmp_path / name, tta_flip=True)
    assert (tmp_path / "first.keras").read_bytes() == (tmp_path / "second.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.keras") as file:
        assert b"date" not in file.read("metadata.json")


def test_the_onnx_file_is_half_as_large_and_predicts_the_same(tmp_path):
    model, images = trained()
    export.export_onnx(model, tmp_path / "whole.onnx", {"faces": "{}"}, tta_flip=True)
    model_files.write_onnx(tmp_path / "whole.onnx", tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size < 0.75 * (tmp_path / "whole.onnx").stat().st_size
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    wanted = callbacks.probabilities(model, images, tta_flip=True)
    for name, p in zip(HEADS, session.run(list(HEADS), {"image": images}), strict=True):
        assert np.abs(p - wanted[name]).max() < 2e-3
    assert session.get_modelmeta().custom_metadata_map["faces"] == "{}"


def test_the_8_bit_file_computes_in_8_bits_and_predicts_almost_the_same(tmp_path):
    model, images = trained()
    export.export_onnx(model, tmp_path / "whole.onnx", {"faces": "{}", "calibration": "[]"}, tta_flip=False)
    model_files.write_int8(tmp_path / "whole.onnx", images, tmp_path / "int8.onnx")
    graph = onnx.load(tmp_path / "int8.onnx").graph
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 4}
    first = next(node for node in graph.node if node.op_type == "Conv")
    # its sums would overflow where a processor has no VNNI instructions
    assert weights.pop(first.input[1]) == onnx.TensorProto.FLOAT
    assert set(weights.values()) == {onnx.TensorProto.INT8}
    session = onnxruntime.InferenceSession(str(tmp_path / "int8.onnx"), providers=["CPUExecutionProvider"])
    wanted = callbacks.probabilities(model, images, tta_flip=False)
    for name, p in zip(HEADS, session.run(list(HEADS), {"image": images}), strict=True):
        assert 0 < np.abs(p - wanted[name]).max() < 0.02, name
    assert session.get_modelmeta().custom_metadata_map == {"faces": "{}", "calibration": "[]"}
