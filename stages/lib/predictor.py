"""Predict from pictures with an exported model: one ONNX file, no TensorFlow, no Keras."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd

from stages.lib import pictures, targets

BATCH = 64


class Predictor:
    """A model that training exported, ready to predict."""

    def __init__(self, path: Path | str, threads: int = 0) -> None:
        """Open model.onnx; threads: 0 for all cores.

        Raises ValueError where the file is not a model of this project.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        properties = self.session.get_modelmeta().custom_metadata_map
        if "faces" not in properties:
            raise ValueError(f"{path}: is an ONNX model, but not one that this project exported")
        self.about = json.loads(properties["faces"])
        self.targets = [targets.TARGETS[name] for name in self.about["targets"]]

    def probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities {target: (n, units)} of (n, s, s, 3) uint8 RGB pictures of the model's input size."""
        names = [target.name for target in self.targets]
        parts = [
            self.session.run(names, {"image": images[start : start + BATCH]}) for start in range(0, len(images), BATCH)
        ]
        return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}

    def decode(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of targets.decode, for each target, of pictures as probabilities takes them."""
        columns: dict[str, np.ndarray] = {}
        for name, p in self.probabilities(images).items():
            columns.update(targets.decode(targets.TARGETS[name], p))
        return columns

    def stream(self, batches: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
        """Columns of decode for batches of pictures, of which one is in memory at a time."""
        found = [self.decode(batch) for batch in batches]
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}

    def predict(self, contents: list[bytes]) -> pd.DataFrame:
        """One row a picture, given as the bytes of its file, of a face framed as in the model's training pictures.

        Columns: each target's prediction (age in years, class names), and the probability of each class, 0 to 1.
        Raises pictures.PictureError for a picture that cannot be decoded.
        """
        side, size, variant = self.about["pack_size"], self.about["image_size"], self.about["variant"]
        fitted = [pictures.fit(pictures.decode(content, near=side), variant, side) for content in contents]
        columns = self.decode(np.stack([pictures.to_input(image, side, size) for image in fitted]))
        shown: dict[str, np.ndarray] = {}
        for target in self.targets:
            predicted = columns[f"{target.name}_predicted"]
            if target.kind == "years":
                shown[target.name] = np.round(predicted, 1)
                continue
            shown[target.name] = np.array(target.classes)[predicted]
            for name in target.classes:
                shown[f"{target.name}_p_{name}"] = np.round(columns[f"{target.name}_p_{name}"], 4)
        return pd.DataFrame(shown)
