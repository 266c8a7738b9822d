"""Attribution: maps of how the pixels of an image influence the output of a Keras model, by six methods.

The explained output is one number: for years the expected age, sum of p * years; for classes the log-odds of one of
them, log(p / sum of the others' p), whose gradient does not vanish near probabilities of 0 and 1, as that of p does.
Images are in grey levels, 0 to 255, and gradients are per grey level. TensorFlow is imported when a model is loaded,
not before.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from PIL import Image

from faces.inference.predictor import ModelError
from faces.targets import TARGETS, Target

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

SHIPPED = Path("pretrained/utkface/utkface.keras")
BATCH = 16
BASELINE = 127.5  # grey, which is 0 after scaling pixels to -1..1
STEPS = 64  # from the baseline to the image
SAMPLES, STDEV, SEED = 32, 0.15 * 255, 0  # noisy samples; standard deviation of their noise in grey levels; its seed
SQUARE, STRIDE = 0.2, 0.08  # of the image's side
LEAST = 1e-30  # lower bound of probabilities, so that their logarithm is finite
PERCENTILE = 99.0  # of a map's absolute values: shown as the largest
OPACITY = 0.8  # of the colour where a map is largest
COLOURS = {True: "RdBu_r", False: "viridis"}  # signed (red for, blue against) or not

Features = dict[int, tuple["keras.KerasTensor", bool]]  # by id: a tensor, and whether it is of the mirror image
Function = Callable[[np.ndarray], np.ndarray]  # images (n, s, s, 3) float32 -> outputs (n,), or gradients (n, s, s, 3)


@dataclass(frozen=True)
class Method:
    """An attribution method: its name, what its maps show and do not show, and whether they have a sign."""

    name: str
    description: str
    signed: bool


METHODS = {
    "gradient": Method(
        "Gradient",
        "Shows the pixels whose smallest change changes the prediction most, not whether they are evidence for or "
        "against it. It is noisy.",
        False,
    ),
    "gradient_x_image": Method(
        "Gradient x image",
        "Shows which pixels are evidence for and against the prediction if the model were linear, which it is only "
        "for very small changes. Grey pixels always get 0.",
        True,
    ),
    "smoothgrad": Method(
        "SmoothGrad",
        "Shows the gradient averaged over noisy copies of the image, so that noise in the gradient averages out. It "
        "does not show the sign, and the copies are noisier than the training images.",
        False,
    ),
    "integrated_gradients": Method(
        "Integrated gradients",
        "Distributes the whole difference to the prediction for a grey image among the pixels, for and against. Grey "
        "pixels always get 0, and another baseline would give another map.",
        True,
    ),
    "grad_cam": Method(
        "Grad-CAM",
        "Shows which regions the last convolutions take as evidence for the prediction, in their coarse grid, and no "
        "evidence against it.",
        False,
    ),
    "occlusion": Method(
        "Occlusion",
        "Shows how much the prediction falls (or rises) when a square is covered. This is a real experiment, though on "
        "images unlike the training images, and it misses evidence that is in two places at once.",
        True,
    ),
}


class Explainer:
    """A Keras model, ready to explain its outputs; several threads may use it."""

    def __init__(self, path: Path | str = SHIPPED) -> None:
        """Load a .keras file whose outputs are probabilities, or the folder data/models/NAME that training wrote.

        targets: those of the model; side: of its images, in pixels. Raises ModelError for any other file.
        """
        import keras
        import tensorflow as tf

        self.model, features = flattened(load_model(Path(path)))
        self.side = self.model.input_shape[1]
        self.targets = [TARGETS[name] for name in self.model.output if name in TARGETS]
        widths = [max(1, len(classes_of(target))) for target in self.targets]
        self._first = {target.name: sum(widths[:i]) for i, target in enumerate(self.targets)}  # columns of outputs
        self._steps = [-1 if mirrored else 1 for _, mirrored in features]
        self._whole = keras.Model(self.model.input, [self.model.output, [tensor for tensor, _ in features]])
        images, column = tf.TensorSpec((None, self.side, self.side, 3)), tf.TensorSpec((), tf.int32)
        self._outputs = tf.function(lambda x: self._forward(x)[0], input_signature=[images])
        self._gradients = tf.function(self._all_gradients, input_signature=[images, column])

    def outputs(self, images: np.ndarray, target: str, label: str | None = None) -> np.ndarray:
        """The explained output (n,): the expected age in years, or the log-odds of class `label`.

        images: (n, s, s, 3) in grey levels, uint8 or float. label: the name of a class, for targets that have classes;
        None for the predicted class of the first image. Raises ValueError for an unknown target or class.
        """
        return in_batches(self._outputs, images)[:, self._column(images[0], target, label)]

    def explain(self, image: np.ndarray, target: str, method: str, label: str | None = None) -> np.ndarray:
        """Map (s, s) float32 of an image (s, s, 3) uint8 by one of METHODS, for the output that `outputs` returns.

        A signed map is above 0 where a place raises the output, below where it lowers it; others are 0 or more. Units:
        gradient and SmoothGrad, output per grey level; gradient x image, integrated gradients and occlusion, output;
        Grad-CAM, none. Raises ValueError for an unknown target, class or method, and for Grad-CAM where the model has
        no convolutions.
        """
        if method not in METHODS:
            raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")
        column = self._column(image, target, label)
        return self._map(np.asarray(image, np.float32), method, column).astype(np.float32)

    def _map(self, image: np.ndarray, method: str, column: int) -> np.ndarray:
        def outputs(images: np.ndarray) -> np.ndarray:
            return in_batches(self._outputs, images)[:, column]

        def gradients(images: np.ndarray) -> np.ndarray:
            return in_batches(lambda part: self._gradients(part, column)[0], images)

        match method:
            case "gradient":
                return saliency(gradients(image[None])[0])
            case "gradient_x_image":
                return gradient_x_image(gradients, image)
            case "smoothgrad":
                return smoothgrad(gradients, image)
            case "integrated_gradients":
                return integrated_gradients(gradients, image)
            case "occlusion":
                return occlusion(outputs, image)
        if not self._steps:
            raise ValueError("the model has no convolutions, and Grad-CAM needs their features")
        _, *parts = self._gradients(image[None], column)
        turned = [[x.numpy()[0, :, ::step] for x, step in zip(part, self._steps, strict=True)] for part in parts]
        return grad_cam(turned[0], turned[1], self.side)

    def _column(self, image: np.ndarray, target: str, label: str | None) -> int:
        """Column of the explained output, for an image (s, s, 3)."""
        if np.shape(image) != (self.side, self.side, 3):
            raise ValueError(f"an image of shape {np.shape(image)}: the model takes {(self.side, self.side, 3)}")
        if target not in self._first:
            raise ValueError(f"target {target!r} is not one of the model's: {', '.join(self._first)}")
        first, classes = self._first[target], classes_of(TARGETS[target])
        if label is None:
            outputs = in_batches(self._outputs, image[None])[0]
            return first + int(outputs[first : first + max(1, len(classes))].argmax())
        if label not in classes:
            allowed = f"is one of {', '.join(classes)}" if classes else "has no classes to choose from"
            raise ValueError(f"{target} {allowed}, not {label!r}")
        return first + classes.index(label)

    def _forward(self, images: "tf.Tensor") -> "tuple[tf.Tensor, list[tf.Tensor]]":
        """All explained outputs (n, columns), and the last features, of images (n, s, s, 3) float32."""
        import tensorflow as tf

        p, features = self._whole(images, training=False)
        return tf.concat([explained(p[target.name], target) for target in self.targets], axis=1), features

    def _all_gradients(self, images: "tf.Tensor", column: "tf.Tensor") -> "tuple[tf.Tensor, list, list]":
        """Gradients of an explained output by the images, the last features, and the gradients by these."""
        import tensorflow as tf

        images = tf.convert_to_tensor(images)
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs, features = self._forward(images)
            output = outputs[:, column]
        by_images, by_features = tape.gradient(output, [images, features])
        return by_images, features, by_features


def classes_of(target: Target) -> tuple[str, ...]:
    """The classes of a target, each of which has an explained output; none for the one output of years."""
    return () if target.kind == "years" else target.classes


def explained(p: "tf.Tensor", target: Target) -> "tf.Tensor":
    """Explained outputs (n, columns) of probabilities p (n, units): the expected age, or the log-odds of each class.

    The others' p is summed, not 1 - p, so that float32 keeps it where it is small.
    """
    import tensorflow as tf

    if target.kind == "years":
        return tf.linalg.matmul(p, tf.range(target.units, dtype=p.dtype)[:, None])
    others = tf.linalg.matmul(p, 1 - tf.eye(target.units, dtype=p.dtype))
    return tf.math.log(tf.maximum(p, LEAST)) - tf.math.log(tf.maximum(others, LEAST))


def load_model(path: Path) -> "keras.Model":
    """The Keras model of a .keras file, or of a folder of data/models, as it is served. Raises ModelError."""
    if not path.exists():
        raise ModelError(f"{path}: there is no such file")
    import keras

    from faces.training import export  # registers the layers of networks, too

    try:
        if path.is_dir():
            network = json.loads((path / "network.json").read_text())
            network.pop("compile_config", None)  # names losses that are not registered
            model = keras.saving.deserialize_keras_object(network)
            model.load_weights(path / "model.weights.h5")
            tta_flip = json.loads((path / "model.json").read_text())["recipe"]["train"]["tta_flip"]
            return export.served(export.in_float32(model), tta_flip=tta_flip)
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # errors of Keras, h5py and zipfile have no common class
        raise ModelError(
            f"{path}: Keras {keras.__version__} cannot open it: it is neither a .keras file nor a folder that training "
            f"wrote, or it is broken ({error})"
        ) from error
    check(model, path)
    return model


def check(model: "keras.Model", path: Path) -> None:
    """Raise ModelError where a model's outputs are not probabilities of this project's targets for a uint8 image."""
    outputs = model.output if isinstance(model.output, dict) else {}
    if not outputs.keys() & TARGETS.keys():
        raise ModelError(f"{path}: is a Keras model, but has none of the outputs {', '.join(TARGETS)}")
    size = model.input_shape[1:] if isinstance(model.input_shape, tuple) else ()
    if len(size) != 3 or size[0] != size[1] or size[0] is None or size[2] != 3:
        raise ModelError(f"{path}: takes images of the shape {model.input_shape}: the shape (n, s, s, 3) is needed")
    predicted = model(np.full((1, *size), 128, np.uint8), training=False)
    for name in outputs.keys() & TARGETS.keys():
        p = np.asarray(predicted[name])
        if p.shape != (1, TARGETS[name].units) or p.min() < 0 or abs(p.sum() - 1) > 1e-3:
            raise ModelError(
                f"{path}: {name} is not {TARGETS[name].units} probabilities: save the model that export.served returns"
            )


def flattened(model: "keras.Model") -> "tuple[keras.Model, list[tuple[keras.KerasTensor, bool]]]":
    """The same model, layers shared, on float images; and its last features, as last_features gives them.

    It does not round its input, so gradients are not 0, and it has no nested models, so all tensors can be reached.
    Networks scale pixels to floats first, so nothing else changes.
    """
    import keras

    kinds: dict[int, set[str]] = {}  # by id of a tensor: classes of all layers that it is computed by
    features: dict[int, Features] = {}

    def call(layer: keras.Operation, *args: object, **kwargs: object) -> object:
        if isinstance(layer, keras.Model):
            return layer._run_through_graph(args[0], call_fn=call)  # clone_model would leave out what comes before it
        outputs = layer(*args, **kwargs)
        inputs = [id(tensor) for tensor in keras.tree.flatten((args, kwargs)) if id(tensor) in kinds]
        for tensor in keras.tree.flatten(outputs):
            kinds[id(tensor)] = {type(layer).__name__}.union(*(kinds[at] for at in inputs))
            before = {key: pair for at in inputs for key, pair in features[at].items()}
            features[id(tensor)] = last_features(tensor, kinds[id(tensor)], before)
        return outputs

    image = keras.Input(model.input_shape[1:], name="image")
    whole = keras.Model(image, call(model, image))
    outputs = [tensor for name, tensor in whole.output.items() if name in TARGETS]
    return whole, list({key: pair for tensor in outputs for key, pair in features[id(tensor)].items()}.values())


def last_features(tensor: "keras.KerasTensor", kinds: set[str], before: Features) -> Features:
    """The last features (n, h, w, c) up to a tensor that come from a convolution and have more than one place.

    One for each view of the image, and whether the view is the mirror image, which export.served slices from the
    image; networks do not slice. Empty where there are no convolutions. kinds: classes of all layers that the tensor is
    computed by; before: the last features up to the layer's inputs.
    """
    if len(tensor.shape) == 4 and tensor.shape[1] * tensor.shape[2] > 1:
        return {id(tensor): (tensor, "GetItem" in kinds)} if any("Conv" in kind for kind in kinds) else {}
    return before


def in_batches(function: Callable, images: np.ndarray) -> np.ndarray:
    """Results of a TensorFlow function for images (n, s, s, 3), in float32, BATCH at a time."""
    return np.concatenate(
        [function(np.asarray(images[at : at + BATCH], np.float32)).numpy() for at in range(0, len(images), BATCH)]
    )


def saliency(gradient: np.ndarray) -> np.ndarray:
    """Largest absolute value over the channels, (s, s), of a gradient (s, s, 3) (Simonyan et al. 2014, section 3.1)."""
    return np.abs(gradient).max(axis=-1)


def gradient_x_image(gradients: Function, image: np.ndarray, baseline: float = BASELINE) -> np.ndarray:
    """Gradient times the image's difference from the baseline (s, s), summed over channels (Shrikumar et al. 2016)."""
    return (gradients(image[None])[0] * (image - baseline)).sum(axis=-1)


def smoothgrad(
    gradients: Function, image: np.ndarray, samples: int = SAMPLES, stdev: float = STDEV, seed: int = SEED
) -> np.ndarray:
    """Saliency (s, s) of the mean gradient of samples with Gaussian noise (Smilkov et al. 2017); stdev: grey levels."""
    noise = np.random.default_rng(seed).normal(0, stdev, (samples, *image.shape))
    return saliency(gradients((image + noise).astype(np.float32)).mean(axis=0))


def integrated_gradients(
    gradients: Function, image: np.ndarray, baseline: float = BASELINE, steps: int = STEPS
) -> np.ndarray:
    """Difference from the baseline times the mean gradient on the line to it, (s, s) (Sundararajan et al. 2017, eq. 1).

    The sum over the image is the output's difference between baseline and image. Gradients are taken at the middles of
    steps that lengthen along the path, as they change most near the baseline: for the shipped model's outputs for a
    face, the error of the sum was 0.3 to 0.6 % with 64 such steps, and 0.4 to 8 % with 64 equal ones.
    """
    path = (((np.arange(steps) + 0.5) / steps) ** 2).astype(np.float32)
    lengths = np.diff((np.arange(steps + 1) / steps) ** 2)
    mean = np.tensordot(lengths, gradients(baseline + path[:, None, None, None] * (image - baseline)), 1)
    return (mean * (image - baseline)).sum(axis=-1)


def grad_cam(features: list[np.ndarray], gradients: list[np.ndarray], side: int) -> np.ndarray:
    """Features (h, w, c) summed over channels, weighted by mean gradient (Selvaraju et al. 2017, eq. 2).

    Summed over the list and enlarged to (side, side); negative sums are set to 0.
    """
    whole = np.zeros((side, side), np.float32)
    for feature, gradient in zip(features, gradients, strict=True):
        weighted = (feature * gradient.mean(axis=(0, 1))).sum(axis=-1)
        whole += np.asarray(Image.fromarray(weighted).resize((side, side), Image.Resampling.BILINEAR))
    return np.maximum(whole, 0)


def occlusion(outputs: Function, image: np.ndarray, square: float = SQUARE, stride: float = STRIDE) -> np.ndarray:
    """Decrease of the output, (s, s), where a square in the image's mean colour covers a place.

    The mean over all squares that cover it (after Zeiler and Fergus 2014, section 4.2). square, stride: as shares of
    the image's side; the last square ends at the image's edge.
    """
    side = len(image)
    size, step = max(1, round(square * side)), max(1, round(stride * side))
    starts = sorted({*range(0, side - size, step), side - size})
    whole, colour = outputs(image[None])[0], image.mean(axis=(0, 1))
    decrease, times = np.zeros((side, side)), np.zeros((side, side))
    for top in starts:
        covered = np.repeat(image[None], len(starts), axis=0)
        for x, left in zip(covered, starts, strict=True):
            x[top : top + size, left : left + size] = colour
        for output, left in zip(outputs(covered), starts, strict=True):
            decrease[top : top + size, left : left + size] += whole - output
            times[top : top + size, left : left + size] += 1
    return decrease / times


def mean_map(maps: Iterable[np.ndarray]) -> np.ndarray:
    """Mean (s, s) of many maps, one in memory at a time; normalise them first to give all the same weight.

    Raises ValueError where there are none.
    """
    total, count = np.zeros(1), 0
    for map_ in maps:
        total, count = total + np.asarray(map_, np.float64), count + 1
    if not count:
        raise ValueError("there are no maps to average")
    return (total / count).astype(np.float32)


def normalised(map_: np.ndarray, percentile: float = PERCENTILE) -> np.ndarray:
    """A map scaled so that a percentile of its absolute values is 1, and clipped: 0 to 1, or -1 to 1 if signed.

    Scaled by the largest absolute value where that percentile is 0; a map of zeros stays so.
    """
    sizes = np.abs(map_)
    scale = np.percentile(sizes, percentile) or sizes.max() or 1.0
    return np.clip(map_ / scale, -1, 1).astype(np.float32)


def overlay(image: np.ndarray, map_: np.ndarray, threshold: float = 0.0, signed: bool = True) -> np.ndarray:
    """An image (s, s, 3) uint8 under the colours of a normalised map (s, s) where it is `threshold` or more in size.

    The opacity is proportional to the size. signed: red above 0, blue below; else dark to yellow.
    """
    scaled = (map_ + 1) / 2 if signed else map_
    colours = 255 * matplotlib.colormaps[COLOURS[signed]](scaled)[..., :3]
    sizes = np.abs(map_)
    opacity = (OPACITY * sizes * (sizes >= threshold))[..., None]
    return np.round(image + opacity * (colours - image)).astype(np.uint8)
