"""Files of a trained model: weights, network, history, and its export: probabilities out, in float32, as ONNX."""

import json
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from faces import networks
from faces.data import records
from faces.training import callbacks

PARITY = 1e-4  # largest difference of a probability between Keras and ONNX Runtime


def write(
    model: keras.Model, history: list[dict], metadata: dict, out: Path, images: np.ndarray, *, tta_flip: bool
) -> None:
    """Write the files of a trained model, and check its export against it on images (n, s, s, 3) uint8."""
    import onnxruntime

    out.mkdir(parents=True, exist_ok=True)
    model.save_weights(out / "model.weights.h5")
    (out / "network.json").write_text(model.to_json() + "\n")
    records.write(pd.DataFrame(history).round(6), out / "history.csv")
    records.write_json(metadata, out / "model.json")
    export_onnx(model, out / "model.onnx", {"faces": json.dumps(metadata)}, tta_flip=tta_flip)
    expected = callbacks.probabilities(in_float32(model), images, tta_flip=tta_flip)
    session = onnxruntime.InferenceSession(str(out / "model.onnx"), providers=["CPUExecutionProvider"])
    exported = dict(zip(expected, session.run(list(expected), {"image": images}), strict=True))
    check_parity(exported, expected)


def check_parity(by_onnx: dict[str, np.ndarray], by_keras: dict[str, np.ndarray]) -> None:
    """Raise SystemExit where a probability of the exported model differs from that of Keras in float32."""
    worst = max(float(np.abs(by_onnx[name] - by_keras[name]).max()) for name in by_keras)
    if not worst <= PARITY:
        raise SystemExit(f"the ONNX export differs from Keras by {worst:.2g} in a probability, more than {PARITY}")


def served(model: keras.Model, *, tta_flip: bool) -> keras.Model:
    """The model as it is served: `image` (n, s, s, 3) uint8 in, each head's probabilities out under its name.

    And `embedding` (n, channels) float32, where the network has such a layer. tta_flip: each is the mean of that of
    the image and that of its mirror image.
    """
    outputs = {name: keras.layers.Softmax(name=f"p_{name}")(logits) for name, logits in model.output.items()}
    if any(layer.name == networks.EMBEDDING for layer in model.layers):
        features = model.get_layer(networks.EMBEDDING).output
        outputs[networks.EMBEDDING] = keras.layers.Activation("linear", dtype="float32", name="features")(features)
    one = keras.Model(model.input, outputs)
    if not tta_flip:
        return one
    image = keras.Input(model.input_shape[1:], dtype="uint8", name="image")
    both = [one(image), one(image[:, :, ::-1])]
    return keras.Model(
        image, {name: keras.layers.Average(name=f"mean_{name}")([out[name] for out in both]) for name in outputs}
    )


def export_onnx(model: keras.Model, path: Path, metadata: dict[str, str], *, tta_flip: bool = False) -> None:
    """Write the model as it is served to an ONNX file, with metadata inside; the same weights give the same bytes."""
    import onnx

    keras.mixed_precision.set_global_policy("float32")
    exported = served(in_float32(model), tta_flip=tta_flip)
    exported(np.zeros((1, *model.input_shape[1:]), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras still asks NumPy for np.object
        exported.export(path, format="onnx", verbose=False)
    graph = onnx.load(path)
    graph.graph.doc_string = ""  # this and value_info depend on what the process did before
    del graph.graph.value_info[:]
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.helper.set_model_props(graph, metadata)
    path.write_bytes(graph.SerializeToString(deterministic=True))


def in_float32(model: keras.Model) -> keras.Model:
    """The same model computing in float32, for which ONNX Runtime has every operator."""
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    config = json.dumps(model.get_config()).replace("mixed_bfloat16", "float32")
    plain = type(model).from_config(json.loads(config))
    plain.set_weights(model.get_weights())
    return plain
