"""Predict from images with an exported model: one ONNX file, no TensorFlow, no Keras.

python -m faces.inference.predictor PICTURE ... prints the predictions of the shipped model, or another, for faces.
"""

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
from PIL import Image

from faces import targets
from faces.evaluation import calibration
from faces.images import preprocessing
from faces.params import renamed

BATCH = 64
MAX_BYTES = 1 << 30  # of a model's file; the shipped one has 7 MB
SHIPPED = Path("pretrained/utkface/utkface.onnx")
EMBEDDING = "embedding"  # name of an output; similar faces have near embeddings
REQUIRED = ("targets", "pack_size", "image_size", "variant")  # keys of a file's metadata that prediction needs


class ModelError(ValueError):
    """A file cannot be used as a model; the message says why."""


class Predictor:
    """A model that training exported, ready to predict."""

    def __init__(self, path: Path | str, threads: int = 0) -> None:
        """Open model.onnx; threads: 0 for all cores.

        metadata: of the training, from the file; fitted: its calibration. Raises ModelError where the file is broken,
        not a model of this project, or of an incompatible version.
        """
        self.session, self.threads = open_session(path, threads), threads
        properties = self.session.get_modelmeta().custom_metadata_map
        try:
            self.metadata = renamed.translate(dict(json.loads(properties.get("faces", "{}"))))
        except (ValueError, TypeError):
            self.metadata = {}
        missing = [key for key in REQUIRED if key not in self.metadata]
        if missing:
            raise ModelError(f"{path}: is an ONNX model, but not one that this project exported: no {missing[0]}")
        units = {output.name: output.shape[-1] for output in self.session.get_outputs()}
        for name in self.metadata["targets"]:
            expected = targets.TARGETS[name].units if name in targets.TARGETS else "none"
            if units.get(name) != expected:
                raise ModelError(
                    f"{path}: predicts {name} in {units.get(name)} units, {expected} are known here: another version "
                    "of this project made it, with other rows in faces/targets.py"
                )
        self.fitted = json.loads(properties.get("calibration", "{}"))
        self.has_embedding = EMBEDDING in units
        self.targets = [targets.TARGETS[name] for name in self.metadata["targets"]]

    @property
    def view(self) -> tuple[int, int, int, float]:
        """The part of an image that the model sees, for preprocessing.to_input: side, crop, size in pixels; zoom."""
        size = self.metadata["image_size"]
        return self.metadata["pack_size"], self.metadata.get("crop", size), size, self.metadata.get("zoom", 1.0)

    def raw(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities {target: (n, units)} of (n, s, s, 3) uint8 images, not calibrated."""
        return self.outputs(images, [target.name for target in self.targets])

    def outputs(self, images: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        """Outputs of the graph by name, each (n, units), of (n, s, s, 3) uint8 images."""
        parts = [
            self.session.run(names, {"image": images[start : start + BATCH]}) for start in range(0, len(images), BATCH)
        ]
        return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}

    def probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities {target: (n, units)} of (n, s, s, 3) uint8 RGB images of the model's input size.

        Those of classes are calibrated if the model is.
        """
        return calibration.apply(self.raw(images), self.fitted)

    def decode(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of targets.decode, for each target, of images as `probabilities` takes them.

        And, if the model is calibrated, NAME_low and NAME_high for years: an interval that holds the true age for a
        share `fitted[NAME]["confidence"]` of faces like those of the calibration part.
        """
        columns: dict[str, np.ndarray] = {}
        for name, p in self.probabilities(images).items():
            columns.update(targets.decode(targets.TARGETS[name], p))
            if "scale" in self.fitted.get(name, {}):
                columns[f"{name}_low"], columns[f"{name}_high"] = calibration.age_interval(p, self.fitted[name])
        return columns

    def stream(self, batches: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
        """Columns of `decode` for batches of images, of which one is in memory at a time."""
        parts = [self.decode(batch) for batch in batches]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def to_input(self, image: Image.Image) -> np.ndarray:
        """The network's input (s, s, 3) uint8 for an image framed as its training images."""
        return preprocessing.to_input(preprocessing.fit(image, self.metadata["variant"], self.view[0]), *self.view)

    def file_to_input(self, content: bytes) -> np.ndarray:
        """The same for the bytes of an image file. Raises preprocessing.ImageError."""
        return self.to_input(preprocessing.decode(content, near=self.view[0]))

    def predict(self, contents: list[bytes]) -> pd.DataFrame:
        """One row an image, given as the bytes of its file, of a face framed as in the model's training images.

        Columns: the prediction of each target (age in years, class names), the ends of the age's interval, its most
        probable bin of 25 years, and the probability of each class, 0 to 1.
        Raises preprocessing.ImageError for an image that cannot be decoded.
        """
        with ThreadPoolExecutor(max_workers=self.threads or None) as pool:
            return self.predict_inputs(np.stack([*pool.map(self.file_to_input, contents)]))

    def predict_inputs(self, images: np.ndarray) -> pd.DataFrame:
        """Columns of `predict` for inputs of the network (n, s, s, 3) uint8."""
        decoded = self.decode(images)
        columns: dict[str, np.ndarray] = {}
        for target in self.targets:
            predicted = decoded[f"{target.name}_predicted"]
            if target.kind == "years":
                columns[target.name] = np.round(predicted, 1)
                for end in ("low", "high"):
                    if f"{target.name}_{end}" in decoded:
                        columns[f"{target.name}_{end}"] = np.round(decoded[f"{target.name}_{end}"], 1)
                columns[f"{target.name}_bin"] = np.array(targets.AGE_BINS)[decoded[f"{target.name}_bin"]]
            else:
                columns[target.name] = np.array(target.classes)[predicted]
                for name in target.classes:
                    columns[f"{target.name}_p_{name}"] = np.round(decoded[f"{target.name}_p_{name}"], 4)
        return pd.DataFrame(columns)


def open_session(path: Path | str, threads: int) -> onnxruntime.InferenceSession:
    """Open an ONNX file on the CPU. Raises ModelError where ONNX Runtime cannot, or the file is absurdly large.

    ONNX Runtime reads no weights outside of the file's folder, and only operators that it knows.
    """
    if Path(path).is_file() and Path(path).stat().st_size > MAX_BYTES:
        raise ModelError(f"{path}: is larger than {MAX_BYTES >> 20} MiB, which no model of this project is")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common class
        reason = " ".join(str(error).rpartition("failed:")[2].split())
        raise ModelError(
            f"{path}: ONNX Runtime {onnxruntime.__version__} cannot open it: it is broken, no ONNX file, or made by "
            f"newer libraries ({reason})"
        ) from error


def with_calibration(model: Path, fitted: dict[str, dict], out: Path) -> None:
    """Write a model's ONNX file with its calibration inside."""
    import onnx

    graph = onnx.load(model)
    properties = {entry.key: entry.value for entry in graph.metadata_props} | {"calibration": json.dumps(fitted)}
    onnx.helper.set_model_props(graph, properties)
    out.write_bytes(graph.SerializeToString(deterministic=True))


def main() -> None:
    """Print a table: one row an image."""
    parser = argparse.ArgumentParser(description="Predict age, sex and ethnicity from images of one face each.")
    parser.add_argument("images", nargs="+", type=Path, help="files, each a face framed as in UTKFace's chips")
    parser.add_argument("--model", type=Path, default=SHIPPED, help=f"an ONNX file of this project; {SHIPPED}")
    args = parser.parse_args()
    missing = [path for path in (args.model, *args.images) if not path.is_file()]
    if missing:
        parser.error(f"{missing[0]} is not a file")
    try:
        predictor, rows = Predictor(args.model), []
    except ModelError as error:
        parser.error(str(error))
    for path in args.images:
        try:
            rows.append(predictor.predict([path.read_bytes()]).assign(image=path.name))
        except preprocessing.ImageError as error:
            parser.error(f"{path}: {error}")
    table = pd.concat(rows, ignore_index=True)
    print(table[["image", *(name for name in table if name != "image")]].to_string(index=False))  # noqa: T201


if __name__ == "__main__":
    main()
