"""Predict from pictures with an exported model: one ONNX file, no TensorFlow, no Keras.

python -m faces.inference.predictor PICTURE ... tells what the shipped model, or another, says of pictures of faces.
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

BATCH = 64
SHIPPED = Path("pretrained/utkface.onnx")
EMBEDDING = "embedding"  # name of the output that alike faces are near in
TOLD = ("targets", "pack_size", "image_size", "variant")  # what a model's file says of itself, and prediction needs


class ModelError(ValueError):
    """A file that cannot be used as a model, with the reason."""


class Predictor:
    """A model that training exported, ready to predict."""

    def __init__(self, path: Path | str, threads: int = 0) -> None:
        """Open model.onnx; threads: 0 for all cores.

        Raises ModelError where the file is broken, not a model of this project, or of a version that differs too much.
        """
        self.session, self.threads = opened(path, threads), threads
        properties = self.session.get_modelmeta().custom_metadata_map
        try:
            self.about = dict(json.loads(properties.get("faces", "{}")))
        except (ValueError, TypeError):
            self.about = {}
        missing = [key for key in TOLD if key not in self.about]
        if missing:
            raise ModelError(f"{path}: is an ONNX model, but not one that this project exported: no {missing[0]}")
        units = {output.name: output.shape[-1] for output in self.session.get_outputs()}
        for name in self.about["targets"]:
            wanted = targets.TARGETS[name].units if name in targets.TARGETS else "no"
            if units.get(name) != wanted:
                raise ModelError(
                    f"{path}: tells {name} in {units.get(name)} units, {wanted} are known here: another version of "
                    "this project made it, with other rows in faces/targets.py"
                )
        self.fitted = json.loads(properties.get("calibration", "{}"))
        self.embeds = EMBEDDING in [output.name for output in self.session.get_outputs()]
        self.targets = [targets.TARGETS[name] for name in self.about["targets"]]

    @property
    def view(self) -> tuple[int, int, int, float]:
        """What of a picture the model sees, as pictures.to_input takes it: side, crop and size in pixels, and zoom."""
        size = self.about["image_size"]
        return self.about["pack_size"], self.about.get("crop", size), size, self.about.get("zoom", 1.0)

    def raw(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities {target: (n, units)} of (n, s, s, 3) uint8 pictures, as the network gives them."""
        return self.outputs(images, [target.name for target in self.targets])

    def outputs(self, images: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        """Outputs of the graph by name, each (n, units), of (n, s, s, 3) uint8 pictures."""
        parts = [
            self.session.run(names, {"image": images[start : start + BATCH]}) for start in range(0, len(images), BATCH)
        ]
        return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}

    def probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities {target: (n, units)} of (n, s, s, 3) uint8 RGB pictures of the model's input size.

        Those of classes are calibrated where the model was.
        """
        return calibration.apply(self.raw(images), self.fitted)

    def decode(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of targets.decode, for each target, of pictures as probabilities takes them.

        And NAME_low and NAME_high for years, where the model was calibrated: an interval that holds the true age of
        `fitted[NAME]["confidence"]` of faces like those that it was fitted to.
        """
        columns: dict[str, np.ndarray] = {}
        for name, p in self.probabilities(images).items():
            columns.update(targets.decode(targets.TARGETS[name], p))
            if "scale" in self.fitted.get(name, {}):
                columns[f"{name}_low"], columns[f"{name}_high"] = calibration.age_interval(p, self.fitted[name])
        return columns

    def stream(self, batches: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
        """Columns of decode for batches of pictures, of which one is in memory at a time."""
        found = [self.decode(batch) for batch in batches]
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}

    def look(self, image: Image.Image) -> np.ndarray:
        """What the network sees (s, s, 3) uint8 of a picture that is framed as those that it knows."""
        return preprocessing.to_input(preprocessing.fit(image, self.about["variant"], self.view[0]), *self.view)

    def seen(self, content: bytes) -> np.ndarray:
        """The same of a picture's file. Raises pictures.PictureError."""
        return self.look(preprocessing.decode(content, near=self.view[0]))

    def predict(self, contents: list[bytes]) -> pd.DataFrame:
        """One row a picture, given as the bytes of its file, of a face framed as in the model's training pictures.

        Columns: each target's prediction (age in years, class names), the ends of the age's interval, the bin of 25
        years that it most probably is in, and the probability of each class, 0 to 1.
        Raises pictures.PictureError for a picture that cannot be decoded.
        """
        with ThreadPoolExecutor(max_workers=self.threads or None) as pool:
            return self.told(np.stack([*pool.map(self.seen, contents)]))

    def told(self, images: np.ndarray) -> pd.DataFrame:
        """Columns of predict for what the network sees (n, s, s, 3) uint8."""
        columns = self.decode(images)
        shown: dict[str, np.ndarray] = {}
        for target in self.targets:
            predicted = columns[f"{target.name}_predicted"]
            if target.kind == "years":
                shown[target.name] = np.round(predicted, 1)
                for end in ("low", "high"):
                    if f"{target.name}_{end}" in columns:
                        shown[f"{target.name}_{end}"] = np.round(columns[f"{target.name}_{end}"], 1)
                shown[f"{target.name}_bin"] = np.array(targets.AGE_BINS)[columns[f"{target.name}_bin"]]
                continue
            shown[target.name] = np.array(target.classes)[predicted]
            for name in target.classes:
                shown[f"{target.name}_p_{name}"] = np.round(columns[f"{target.name}_p_{name}"], 4)
        return pd.DataFrame(shown)


def opened(path: Path | str, threads: int) -> onnxruntime.InferenceSession:
    """Open an ONNX file on the CPU. Raises ModelError where ONNX Runtime cannot."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # those of ONNX Runtime have no class of their own
        why = str(error).rpartition("failed:")[2].strip()
        raise ModelError(
            f"{path}: ONNX Runtime {onnxruntime.__version__} cannot open it: it is broken, no ONNX file, or made by "
            f"newer libraries ({why})"
        ) from error


def with_calibration(model: Path, fitted: dict[str, dict], out: Path) -> None:
    """Write a model's ONNX file with what was fitted to it inside."""
    import onnx

    graph = onnx.load(model)
    properties = {entry.key: entry.value for entry in graph.metadata_props} | {"calibration": json.dumps(fitted)}
    onnx.helper.set_model_props(graph, properties)
    out.write_bytes(graph.SerializeToString(deterministic=True))


def main() -> None:
    """Print a table: one row a picture."""
    parser = argparse.ArgumentParser(description="Tell age, sex and ethnicity of pictures of one face each.")
    parser.add_argument("pictures", nargs="+", type=Path, help="files, each a face framed as in UTKFace's chips")
    parser.add_argument("--model", type=Path, default=SHIPPED, help=f"an ONNX file of this project; {SHIPPED}")
    words = parser.parse_args()
    missing = [path for path in (words.model, *words.pictures) if not path.is_file()]
    if missing:
        parser.error(f"{missing[0]} is not a file")
    try:
        predictor, rows = Predictor(words.model), []
    except ModelError as error:
        parser.error(str(error))
    for path in words.pictures:
        try:
            rows.append(predictor.predict([path.read_bytes()]).assign(picture=path.name))
        except preprocessing.PictureError as error:
            parser.error(f"{path}: {error}")
    table = pd.concat(rows, ignore_index=True)
    print(table[["picture", *(name for name in table if name != "picture")]].to_string(index=False))  # noqa: T201


if __name__ == "__main__":
    main()
