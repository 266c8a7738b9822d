"""What in a face a model's answer hangs on: maps of the picture's pixels, drawn from a Keras model by six methods.

What is explained is one number, the model's output: for years the expected age, sum of p * years; for classes the
log-odds of one of them, log(p / sum of the others' p), whose slope does not vanish as that of p does where the model is
sure. Pictures are in grey levels, 0 to 255, and slopes are of the output to one level. TensorFlow is imported when a
model is loaded, not before.
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

SHIPPED = Path("pretrained/utkface.keras")
BATCH = 16
GREY = 127.5  # the baseline: a grey picture, which networks that scale pixels to -1..1 see as 0
STEPS = 64  # on the way from grey to the picture
COPIES, SPREAD, SEED = 32, 0.15 * 255, 0  # noisy copies, the deviation of their noise in grey levels, its seed
SQUARE, STRIDE = 0.2, 0.08  # of the picture's side
LEAST = 1e-30  # smaller probabilities are taken for this one, so that their logarithm is a number
CLEAR = 99.0  # percentile of a map's sizes that is shown as the largest
OPACITY = 0.8  # of the colour where a map is largest
COLOURS = {True: "RdBu_r", False: "viridis"}  # red for, blue against; signed or not

Function = Callable[[np.ndarray], np.ndarray]  # pictures (n, s, s, 3) float32 -> outputs (n,), or slopes (n, s, s, 3)
Steps = dict[int, tuple[str, list]]  # id of a graph's tensor -> class of the layer that made it, and from what


@dataclass(frozen=True)
class Method:
    """A way to draw a map: its name, what it can and cannot tell, and whether its maps have a sign."""

    name: str
    tells: str
    signed: bool


METHODS = {
    "gradient": Method(
        "Gradient",
        "Shows the pixels whose smallest change moves the answer most, not whether they speak for it or against it, "
        "and it is noisy.",
        False,
    ),
    "gradient_x_image": Method(
        "Gradient x image",
        "Shows which pixels speak for and against the answer if it were as straight a function as it is in the "
        "smallest step, which it is not; grey pixels get nothing.",
        True,
    ),
    "smoothgrad": Method(
        "SmoothGrad",
        "Shows the gradient averaged over noisy copies, so places that matter steadily stand out, without saying for "
        "or against, and for pictures that are noisier than any the model knows.",
        False,
    ),
    "integrated_gradients": Method(
        "Integrated gradients",
        "Shares out the whole difference to the answer for a grey picture among the pixels, for and against; what is "
        "grey gets nothing, and another baseline would give another map.",
        True,
    ),
    "grad_cam": Method(
        "Grad-CAM",
        "Shows roughly which regions the last convolutions found to speak for the answer, in the coarse grid of those, "
        "and nothing of what speaks against it.",
        False,
    ),
    "occlusion": Method(
        "Occlusion",
        "Shows how far the answer falls (or rises) when a square is painted over, which is a real experiment, though "
        "on faces with a patch that the model has never met, and blind to what two places tell alike.",
        True,
    ),
}


class Explainer:
    """A Keras model, ready to be asked what in a face its answers hang on; it may be used by several threads."""

    def __init__(self, path: Path | str = SHIPPED) -> None:
        """Load a .keras file that tells probabilities, or the folder data/models/NAME that training wrote.

        targets: what it tells; side: of its pictures, in pixels. Raises ModelError where it is no such model.
        """
        import keras
        import tensorflow as tf

        self.model, features = unfolded(loaded(Path(path)))
        self.side = self.model.input_shape[1]
        self.targets = [TARGETS[name] for name in self.model.output if name in TARGETS]
        asked = [(target.name, of) for target in self.targets for of in answers(target)]
        self._columns = {each: column for column, each in enumerate(asked)}
        self._turns = [-1 if mirrored else 1 for _, mirrored in features]
        self._whole = keras.Model(self.model.input, [self.model.output, [found for found, _ in features]])
        images, column = tf.TensorSpec((None, self.side, self.side, 3)), tf.TensorSpec((), tf.int32)
        self._outputs = tf.function(lambda x: self._told(x)[0], input_signature=[images])
        self._slopes = tf.function(self._slopes_of_pixels, input_signature=[images, column])
        self._maps = tf.function(self._slopes_of_maps, input_signature=[images, column])

    def outputs(self, images: np.ndarray, target: str, of: str | None = None) -> np.ndarray:
        """What is explained (n,): the expected age in years, or the log-odds of class `of`.

        images: (n, s, s, 3) in grey levels, uint8 or float. of: the name of a class, for targets that have classes;
        None for the one that is predicted of the first picture. Raises ValueError for what the model does not know.
        """
        return in_batches(self._outputs, images)[:, self._column(images[0], target, of)]

    def explain(self, image: np.ndarray, target: str, method: str, of: str | None = None) -> np.ndarray:
        """Map (s, s) float32 of a picture (s, s, 3) uint8 by one of METHODS, of the output that `outputs` tells.

        A signed map is above 0 where a place raises the output, below where it lowers it; others are 0 or more. Those
        of gradient and SmoothGrad are in output to a grey level, those of gradient x image, integrated gradients and
        occlusion in output, those of Grad-CAM in no unit. Raises ValueError for what the model does not know, and for
        Grad-CAM where it convolves nothing.
        """
        if method not in METHODS:
            raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")
        column = self._column(image, target, of)
        return self._drawn(np.asarray(image, np.float32), method, column).astype(np.float32)

    def _drawn(self, image: np.ndarray, method: str, column: int) -> np.ndarray:
        def outputs(images: np.ndarray) -> np.ndarray:
            return in_batches(self._outputs, images)[:, column]

        def slopes(images: np.ndarray) -> np.ndarray:
            return in_batches(lambda part: self._slopes(part, column), images)

        match method:
            case "gradient":
                return saliency(slopes(image[None])[0])
            case "gradient_x_image":
                return gradient_x_image(slopes, image)
            case "smoothgrad":
                return smoothgrad(slopes, image)
            case "integrated_gradients":
                return integrated_gradients(slopes, image)
            case "occlusion":
                return occlusion(outputs, image)
        if not self._turns:
            raise ValueError("the model convolves nothing, and Grad-CAM draws on the maps of convolutions")
        parts = self._maps(image[None], column)
        pairs = [[each.numpy()[0, :, ::turn] for each, turn in zip(part, self._turns, strict=True)] for part in parts]
        return grad_cam(*pairs, self.side)

    def _column(self, image: np.ndarray, target: str, of: str | None) -> int:
        """Which of the model's outputs is asked for, of a picture (s, s, 3)."""
        if np.shape(image) != (self.side, self.side, 3):
            raise ValueError(f"a picture of shape {np.shape(image)}: the model takes {(self.side, self.side, 3)}")
        known = {of: column for (name, of), column in self._columns.items() if name == target}
        if not known:
            names = ", ".join(target.name for target in self.targets)
            raise ValueError(f"target {target!r} is not one that the model tells: {names}")
        if of is None and None not in known:
            columns = list(known.values())
            return columns[in_batches(self._outputs, image[None])[0, columns].argmax()]
        if of not in known:
            allowed = "has no classes to choose from" if None in known else f"is one of {', '.join(known)}"
            raise ValueError(f"{target} {allowed}, not {of!r}")
        return known[of]

    def _told(self, images: "tf.Tensor") -> "tuple[tf.Tensor, list[tf.Tensor]]":
        """All outputs that can be asked for (n, columns), and the last maps, of pictures (n, s, s, 3) float32."""
        import tensorflow as tf

        said, features = self._whole(images, training=False)
        return tf.concat([explained(said[target.name], target) for target in self.targets], axis=1), features

    def _slopes_of_pixels(self, images: "tf.Tensor", column: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        images = tf.convert_to_tensor(images)
        with tf.GradientTape() as tape:
            tape.watch(images)
            output = self._told(images)[0][:, column]
        return tape.gradient(output, images)

    def _slopes_of_maps(self, images: "tf.Tensor", column: "tf.Tensor") -> "tuple[list[tf.Tensor], list[tf.Tensor]]":
        import tensorflow as tf

        images = tf.convert_to_tensor(images)
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs, features = self._told(images)
            output = outputs[:, column]
        return features, tape.gradient(output, features)


def answers(target: Target) -> tuple[str | None, ...]:
    """What can be asked for of a target: each of its classes, or None for the one output of years."""
    return (None,) if target.kind == "years" else target.classes


def explained(p: "tf.Tensor", target: Target) -> "tf.Tensor":
    """What is explained (n, answers), of probabilities p (n, units): the expected age, or the log-odds of each class.

    The others' p is summed, not taken from 1, so that float32 keeps it where the model is sure.
    """
    import tensorflow as tf

    if target.kind == "years":
        return tf.linalg.matmul(p, tf.range(target.units, dtype=p.dtype)[:, None])
    others = tf.linalg.matmul(p, 1 - tf.eye(target.units, dtype=p.dtype))
    return tf.math.log(tf.maximum(p, LEAST)) - tf.math.log(tf.maximum(others, LEAST))


def loaded(path: Path) -> "keras.Model":
    """The Keras model of a .keras file, or of a folder of data/models, as it is served. Raises ModelError."""
    if not path.exists():
        raise ModelError(f"{path}: there is no such file")
    import keras

    from faces.training import export  # registers the layers of networks, too

    try:
        if path.is_dir():
            network = json.loads((path / "network.json").read_text())
            network.pop("compile_config", None)  # names losses that training made
            model = keras.saving.deserialize_keras_object(network)
            model.load_weights(path / "model.weights.h5")
            views = json.loads((path / "model.json").read_text())["recipe"]["train"]["views"]
            return export.served(export.in_float32(model), views)
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # those of Keras, h5py and zipfile have no class in common
        raise ModelError(
            f"{path}: Keras {keras.__version__} cannot open it: it is neither a .keras file nor a folder that training "
            f"wrote, or it is broken ({error})"
        ) from error
    check(model, path)
    return model


def check(model: "keras.Model", path: Path) -> None:
    """Raise ModelError where a model does not tell probabilities of this project's targets from a uint8 picture."""
    outputs = model.output if isinstance(model.output, dict) else {}
    if not outputs.keys() & TARGETS.keys():
        raise ModelError(f"{path}: is a Keras model, but tells none of {', '.join(TARGETS)} under its name")
    size = model.input_shape[1:] if isinstance(model.input_shape, tuple) else ()
    if len(size) != 3 or size[0] != size[1] or size[0] is None or size[2] != 3:
        raise ModelError(f"{path}: takes pictures of the shape {model.input_shape}: those of (n, s, s, 3) are needed")
    said = model(np.full((1, *size), 128, np.uint8), training=False)
    for name in outputs.keys() & TARGETS.keys():
        p = np.asarray(said[name])
        if p.shape != (1, TARGETS[name].units) or p.min() < 0 or abs(p.sum() - 1) > 1e-3:
            raise ModelError(
                f"{path}: {name} is not told as {TARGETS[name].units} probabilities: save what training.served gives"
            )


def unfolded(model: "keras.Model") -> "tuple[keras.Model, list[tuple[keras.KerasTensor, bool]]]":
    """The same model, layers shared, on float pictures, and its last_maps.

    No step of it rounds, so slopes flow; and it holds no model within a model, so its maps are at hand. Networks scale
    pixels to floats first, so nothing else changes.
    """
    import keras

    steps: Steps = {}

    def call(layer: keras.Operation, *args: object, **kwargs: object) -> object:
        if isinstance(layer, keras.Model):
            return layer._run_through_graph(args[0], call_fn=call)  # clone_model would cut off what comes before it
        made = layer(*args, **kwargs)
        before = [each for each in keras.tree.flatten((args, kwargs)) if isinstance(each, keras.KerasTensor)]
        steps.update({id(each): (type(layer).__name__, before) for each in keras.tree.flatten(made)})
        return made

    image = keras.Input(model.input_shape[1:], name="image")
    whole = keras.Model(image, call(model, image))
    found = {
        id(each[0]): each for name in whole.output if name in TARGETS for each in last_maps(whole.output[name], steps)
    }
    return whole, list(found.values())


def last_maps(tensor: "keras.KerasTensor", steps: Steps) -> "list[tuple[keras.KerasTensor, bool]]":
    """The last maps (n, h, w, c) before a tensor that come from a convolution and have more than one place.

    One a view that the model takes of a picture, and whether that is of its mirror image, which training.served cuts
    from the picture, as no network cuts. Empty where nothing is convolved.
    """
    if len(tensor.shape) == 4 and tensor.shape[1] * tensor.shape[2] > 1:
        kinds = kinds_before(tensor, steps)
        return [(tensor, "GetItem" in kinds)] if any("Conv" in kind for kind in kinds) else []
    found = {id(each[0]): each for before in steps[id(tensor)][1] for each in last_maps(before, steps)}
    return list(found.values())


def kinds_before(tensor: "keras.KerasTensor", steps: Steps) -> set[str]:
    """Classes of all layers that a tensor comes from."""
    kinds, seen, todo = set(), set(), [tensor]
    while todo:
        at = id(todo.pop())
        if at in steps and at not in seen:
            seen.add(at)
            kinds.add(steps[at][0])
            todo.extend(steps[at][1])
    return kinds


def in_batches(function: Callable, images: np.ndarray) -> np.ndarray:
    """What a function of TensorFlow's says of pictures (n, s, s, 3), in float32, BATCH at a time."""
    return np.concatenate(
        [function(np.asarray(images[at : at + BATCH], np.float32)).numpy() for at in range(0, len(images), BATCH)]
    )


def saliency(slopes: np.ndarray) -> np.ndarray:
    """Largest size over the channels, (s, s), of slopes (s, s, 3) (Simonyan et al. 2014, section 3.1)."""
    return np.abs(slopes).max(axis=-1)


def gradient_x_image(slopes: Function, image: np.ndarray, grey: float = GREY) -> np.ndarray:
    """Slope times the picture's distance from grey (s, s), summed over channels (Shrikumar et al. 2016)."""
    return (slopes(image[None])[0] * (image - grey)).sum(axis=-1)


def smoothgrad(
    slopes: Function, image: np.ndarray, copies: int = COPIES, spread: float = SPREAD, seed: int = SEED
) -> np.ndarray:
    """Saliency (s, s) of the mean slope of copies with Gaussian noise, spread in grey levels (Smilkov et al. 2017)."""
    noise = np.random.default_rng(seed).normal(0, spread, (copies, *image.shape))
    return saliency(slopes((image + noise).astype(np.float32)).mean(axis=0))


def integrated_gradients(slopes: Function, image: np.ndarray, grey: float = GREY, steps: int = STEPS) -> np.ndarray:
    """Distance from grey times the mean slope on the straight way from it, (s, s) (Sundararajan et al. 2017, eq. 1).

    The sum over the picture is the output's difference between grey and the picture. Slopes are taken at the middles of
    steps that lengthen along the way, as they change most near grey: of the shipped model's outputs for a face, 64 of
    them missed the difference by 0.3 to 0.6 %, 64 even ones by 0.4 to 8 %.
    """
    way = (((np.arange(steps) + 0.5) / steps) ** 2).astype(np.float32)
    lengths = np.diff((np.arange(steps + 1) / steps) ** 2)
    mean = np.tensordot(lengths, slopes(grey + way[:, None, None, None] * (image - grey)), 1)
    return (mean * (image - grey)).sum(axis=-1)


def grad_cam(features: list[np.ndarray], slopes: list[np.ndarray], side: int) -> np.ndarray:
    """What maps (h, w, c) say for the output, each channel weighed by its mean slope (Selvaraju et al. 2017, eq. 2).

    Summed over the maps and enlarged to (side, side), 0 where it speaks against.
    """
    whole = np.zeros((side, side), np.float32)
    for found, slope in zip(features, slopes, strict=True):
        weighed = (found * slope.mean(axis=(0, 1))).sum(axis=-1)
        whole += np.asarray(Image.fromarray(weighed).resize((side, side), Image.Resampling.BILINEAR))
    return np.maximum(whole, 0)


def occlusion(outputs: Function, image: np.ndarray, square: float = SQUARE, stride: float = STRIDE) -> np.ndarray:
    """By how much the output falls, (s, s), where a square in the picture's mean colour hides a place.

    The mean over all squares that hide it (after Zeiler and Fergus 2014, section 4.2). square, stride: in shares of the
    picture's side; the last square ends where the picture does.
    """
    side = len(image)
    size, step = max(1, round(square * side)), max(1, round(stride * side))
    starts = sorted({*range(0, side - size, step), side - size})
    whole, colour = outputs(image[None])[0], image.mean(axis=(0, 1))
    fall, times = np.zeros((side, side)), np.zeros((side, side))
    for top in starts:
        hidden = np.repeat(image[None], len(starts), axis=0)
        for each, left in zip(hidden, starts, strict=True):
            each[top : top + size, left : left + size] = colour
        for said, left in zip(outputs(hidden), starts, strict=True):
            fall[top : top + size, left : left + size] += whole - said
            times[top : top + size, left : left + size] += 1
    return fall / times


def mean_map(maps: Iterable[np.ndarray]) -> np.ndarray:
    """Mean (s, s) of many maps, one in memory at a time; normalise each first where all are to weigh alike.

    Raises ValueError where there are none.
    """
    total, count = 0.0, 0
    for each in maps:
        total, count = total + np.asarray(each, np.float64), count + 1
    if not count:
        raise ValueError("there are no maps to take the mean of")
    return (total / count).astype(np.float32)


def normalised(map_: np.ndarray, percentile: float = CLEAR) -> np.ndarray:
    """A map scaled so that a percentile of its sizes is 1, and cut at it: 0 to 1, or -1 to 1 where it has a sign.

    By its largest size where that percentile is 0; a map of zeros stays one.
    """
    sizes = np.abs(map_)
    scale = np.percentile(sizes, percentile) or sizes.max() or 1.0
    return np.clip(map_ / scale, -1, 1).astype(np.float32)


def overlay(image: np.ndarray, map_: np.ndarray, threshold: float = 0.0, signed: bool = True) -> np.ndarray:
    """A picture (s, s, 3) uint8 under the colours of a normalised map (s, s), where its size is `threshold` or more.

    The larger, the less of the picture shines through. signed: red above 0, blue below; else dark to yellow.
    """
    scaled = (map_ + 1) / 2 if signed else map_
    colours = 255 * matplotlib.colormaps[COLOURS[signed]](scaled)[..., :3]
    sizes = np.abs(map_)
    opacity = (OPACITY * sizes * (sizes >= threshold))[..., None]
    return np.round(image + opacity * (colours - image)).astype(np.uint8)
