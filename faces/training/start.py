"""Weights that a training starts from: those of another model, in the folder that training or publishing wrote."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import onnx

from faces import networks, params, targets
from faces.data import labelled_faces
from faces.params import renamed
from faces.runtime import progress

WEIGHTS, NETWORK = "model.weights.h5", "network.json"
KEPT = ("name", "dataset", "variant", "kind", "targets", "fingerprint", "split", "start")  # metadata of the other model
SEEN = ("pack_size", "crop", "image_size", "zoom")  # what a network sees of a face


@dataclass(frozen=True)
class Start:
    """Weights of another model, {layer: arrays}, and what the new model's metadata say of it.

    about: KEPT of that model, None where it does not have one; its folder; file and sha256 of its weights; new_heads:
    targets that it does not have.
    """

    layers: dict[str, list[np.ndarray]]
    about: dict


def weights_file(folder: Path) -> Path:
    """File of the weights in a model's folder. Raises SystemExit where there is none."""
    files = [path for path in (folder / WEIGHTS, *sorted(folder.glob("*.keras"))) if path.is_file()]
    if not files:
        raise SystemExit(
            f"start_from: {folder} holds no weights: name data/models/NAME, pretrained/utkface, or a folder that "
            "`python -m commands.copy_model` wrote"
        )
    return files[0]


def metadata(folder: Path) -> dict:
    """What a model's ONNX file says of its training. Raises SystemExit where the folder has no such file."""
    files = [path for path in sorted(folder.glob("*.onnx")) if not path.name.endswith(".int8.onnx")]
    properties = onnx.load(files[0], load_external_data=False).metadata_props if files else []
    text = next((entry.value for entry in properties if entry.key == "faces"), None)
    if text is None:
        raise SystemExit(f"start_from: {folder} has no ONNX file that this project exported")
    return renamed.translate(json.loads(text))


def read(row: params.Model, settings: params.Settings, manifest: dict) -> Start | None:
    """Read the model that a row of models starts from; None where it starts from new weights. It says what is loaded.

    row: with all options of its network; manifest: of its pack. Raises SystemExit where it is a model of another
    network, or one that must not be started from: see `check`.
    """
    if row.start_from == params.NO_START:
        return None
    folder = Path(row.start_from)
    path, other = weights_file(folder), metadata(folder)
    split = digest(labelled_faces.split_file(row.dataset))
    check(row, other, settings, manifest["kind"], split)
    for fault in differences(other, settings, manifest["side"]):
        progress.say(f"warning: start_from: {fault}")
    layers = {layer.name: layer.get_weights() for layer in weighted(load_model(folder, path))}
    new = [name for name in row.targets if not has_head(layers, name)]
    progress.say(
        f"starting from {other.get('name')} of {row.start_from}, trained on {other.get('dataset')}"
        + (f"; new heads: {', '.join(new)}" if new else "")
    )
    about = {key: other.get(key) for key in KEPT}
    about |= {"folder": row.start_from, "file": path.as_posix(), "sha256": digest(path), "new_heads": new}
    return Start(layers, about)


def files(row: params.Model) -> list[Path]:
    """The file of weights that a row of models starts from, in a list; empty where it starts from new weights."""
    return [] if row.start_from == params.NO_START else [weights_file(Path(row.start_from))]


def load_model(folder: Path, weights: Path) -> keras.Model:
    """The Keras model of a folder with its weights."""
    if weights.suffix == ".keras":
        return keras.models.load_model(weights, compile=False)
    model = keras.models.model_from_json((folder / NETWORK).read_text())
    model.load_weights(weights)
    return model


def check(row: params.Model, other: dict, settings: params.Settings, kind: str, split: str) -> None:
    """Raise SystemExit where a row cannot, or must not, start from a model; other: its metadata.

    It must be of the same network. Unless train.check_start is false, one that was trained on the sample is refused
    for photos, and one that was trained on another split of the row's dataset: its training faces may be test faces of
    the new model. split: digest of the row's; kind: of its images.
    """
    key, train = "start_from", "or set train.check_start of this row to false"
    theirs = other["recipe"]["model"]
    network, options = theirs["network"], theirs["options"]
    if (network, options) != (row.network, row.options):
        raise SystemExit(
            f"{key}: {row.start_from} is another network: give this row `network: {network}` and "
            f"`options: {json.dumps(options)}`, which it has"
        )
    if not settings.check_start:
        return
    if other["kind"] == "sample" != kind:
        raise SystemExit(f"{key}: {row.start_from} was trained on synthetic faces: choose a model of photos, {train}")
    for model in ancestry(other):
        same = model.get("dataset") == row.dataset and (model.get("kind") == "sample") == (kind == "sample")
        if same and model.get("split") != split:
            raise SystemExit(
                f"{key}: {row.start_from} was trained on {row.dataset} with another split: it may have seen faces that "
                f"are test faces here. Train it with this split, {train}"
            )


def ancestry(about: dict) -> Iterator[dict]:
    """A model's metadata, and those of the models before it, from which each started."""
    step: dict | None = about
    while step:
        yield step
        step = step.get("start")


def differences(other: dict, settings: params.Settings, side: int) -> list[str]:
    """How a network sees faces in another way than before, in words."""
    now = dict(zip(SEEN, (side, settings.crop or settings.image_size, settings.image_size, settings.zoom), strict=True))
    before = {key: other.get(key, 1.0 if key == "zoom" else other["image_size"]) for key in SEEN}
    return [
        f"its {key} was {before[key]} and is {now[key]} here, so it sees faces in another size"
        for key in SEEN
        if before[key] != now[key]
    ]


def put(model: keras.Model, start: Start) -> list[keras.Layer]:
    """Give a new model the weights of a start; returns the layers that have them. Heads without weights stay new.

    Raises SystemExit where any other layer has no weights of its shape, or each target has layers of its own besides
    its head, which would be mistaken for those of another target.
    """
    shared = any(layer.name == networks.EMBEDDING for layer in model.layers)
    if not shared and list(model.output) != start.about["targets"]:
        raise SystemExit(
            f"start_from: {model.name} has a branch for each target: give this row `targets: {start.about['targets']}`"
        )
    layers = []
    for layer in weighted(model):
        weights = start.layers.get(layer.name, [])
        if [value.shape for value in weights] == [tuple(value.shape) for value in layer.weights]:
            layer.set_weights(weights)
            layers.append(layer)
        elif not is_head(layer):
            raise SystemExit(f"start_from: {start.about['folder']} has no layer {layer.name} of this network's shape")
    return layers


def weighted(model: keras.Model) -> Iterator[keras.Layer]:
    """Layers of a model that have weights, those of models inside it too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from weighted(layer)
        elif layer.weights:
            yield layer


def is_head(layer: keras.Layer) -> bool:
    """Whether a layer is the head of a target."""
    return layer.name.removesuffix(networks.SCALAR) in targets.TARGETS


def has_head(layers: dict[str, list[np.ndarray]], target: str) -> bool:
    """Whether a model's layers have the head of a target as it is now."""
    head = layers.get(target)
    return f"{target}{networks.SCALAR}" in layers or (
        head is not None and head[0].shape[-1] == targets.TARGETS[target].units
    )


def digest(path: Path) -> str:
    """sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
