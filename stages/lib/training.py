"""Training one network: faces, batches, the loop, the exported model; shared by tune and train."""

import contextlib
import json
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from stages.lib import (
    augmentation,
    losses,
    memory,
    metrics,
    networks,
    optimizers,
    params,
    pictures,
    progress,
    running,
    targets,
)
from stages.lib.faces import BATCH, Faces, pixels, view

CPU = Path("/proc/cpuinfo")  # of Linux
Log = Callable[[int, dict[str, float]], None]


def resolved(precision: str) -> str:
    """float32 or bfloat16; for `auto`, bfloat16 where the hardware computes in it.

    Raises SystemExit where bfloat16 is asked for and it does not.
    """
    if precision == "auto":
        return "bfloat16" if has_bfloat16() else "float32"
    if precision == "bfloat16" and not has_bfloat16():
        raise SystemExit(
            "precision: bfloat16 is asked for, but there is neither a CPU with AVX512-BF16 or AMX nor a GPU that "
            "computes in it: set `precision` under `budgets` to float32, or to auto"
        )
    return precision


def prepare(threads: int, seed: int, precision: str) -> str:
    """Set what makes training repeatable, before anything else of TensorFlow runs; returns float32 or bfloat16.

    precision: as `resolved` takes it.
    """
    precision = resolved(precision)
    memory.keep()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    return precision


def has_bfloat16() -> bool:
    """Whether a GPU (compute capability 8 or more) or this CPU (AVX512-BF16 or AMX) computes in bfloat16."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return all(tf.config.experimental.get_device_details(gpu)["compute_capability"] >= (8, 0) for gpu in gpus)
    return CPU.exists() and bool({"avx512_bf16", "amx_bf16"} & set(CPU.read_text().split()))


def epoch_order(faces: Faces, balance: str, seed: int, epoch: int) -> np.ndarray:
    """Indices of the faces in the order of one epoch; `undersample` draws cells down to the median cell's size."""
    rng = np.random.default_rng((seed, epoch, 12))
    order = rng.permutation(len(faces))
    if balance != "undersample":
        return order
    rank = pd.Series(faces.cell[order]).groupby(faces.cell[order]).cumcount().to_numpy()
    return order[rank < _cell_cap(faces.cell)]


def _cell_cap(cell: np.ndarray) -> int:
    return int(np.median(np.unique(cell, return_counts=True)[1]))


def face_weights(faces: Faces, balance: str) -> np.ndarray:
    """Weight (n,) of each face: 1, or under `weights` the inverse root of its cell's size, 1 in the mean."""
    if balance != "weights" or not len(faces):
        return np.ones(len(faces), np.float32)
    _, where, count = np.unique(faces.cell, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(count[where])
    return (weights / weights.mean()).astype(np.float32)


def rarity_weights(target: targets.Target, values: np.ndarray, known: np.ndarray, power: float) -> np.ndarray:
    """Weight (n,) of each label: how rare it is among the known ones, to a power; 1 in their mean, 0 where unknown.

    A label's share is that of its class, or of its five years. power: 0 weighs all alike, 1 all classes alike.
    """
    kind = values.astype(int) // (5 if target.kind == "years" else 1)
    counts = np.bincount(kind, known)
    weights = known * np.maximum(counts, 1)[kind] ** -power
    return (weights * known.sum() / max(weights.sum(), 1e-12)).astype(np.float32)


def supervision(
    faces: Faces, settings: params.Train, lesson: dict[str, np.ndarray] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What each head is taught (n, 1 + units), as losses.of takes it, and the weight (n,) of each face.

    lesson: {target: (n, units)} that teachers say, NaN where nothing; a share `lesson` of what is wanted then, and all
    of it where a label is unknown.
    """
    taught, weights = {}, {}
    each = face_weights(faces, settings.balance)
    for name, (values, known) in faces.labels.items():
        target = targets.TARGETS[name]
        wanted = losses.wanted(target, values, settings.age_sigma, settings.label_smoothing.get(name, 0.0))
        weights[name] = rarity_weights(target, values, known, settings.rarity.get(name, 0.0)) * each
        if lesson and name in lesson:
            told = np.isfinite(lesson[name][:, 0])
            share = np.where(told, np.where(known > 0, settings.lesson, 1.0), 0.0)[:, None].astype(np.float32)
            said = np.nan_to_num(lesson[name])
            wanted = (1 - share) * wanted + share * said
            if target.kind == "years":
                share = share[:, 0]
                values = (1 - share) * values + share * (said @ np.arange(target.units, dtype=np.float32))
            weights[name] = np.where((known == 0) & told, each, weights[name])
        taught[name] = np.column_stack([values, wanted]).astype(np.float32)
    return taught, weights


def steps_in_epoch(faces: Faces, settings: params.Train) -> int:
    """Whole batches in an epoch; one at least."""
    return max(1, len(epoch_order(faces, settings.balance, 0, 0)) // settings.batch_size)


def side_shown(settings: params.Train, epoch: int, epochs: int) -> int:
    """Side in pixels in which pictures are shown in an epoch: `growing` first, each for an equal share, then all."""
    sides = [*settings.growing, settings.image_size]
    return sides[-(-(epoch + 1) * len(sides) // epochs) - 1]  # rounded up: the last epoch shows the last


def batches(
    faces: Faces,
    settings: params.Train,
    side: int,
    epochs: int,
    first_epoch: int = 0,
    lesson: dict[str, np.ndarray] | None = None,
) -> tf.data.Dataset:
    """Training batches of all epochs, one after the other: (image, {target: what is taught}, {target: weight}).

    side: of the packed pictures, in pixels. Order and augmentation follow from (seed, epoch, index of the face) alone,
    and reading, decoding and augmenting overlap with the training step.
    """
    names, (taught, weights) = list(faces.labels), supervision(faces, settings, lesson)
    batch = min(settings.batch_size, max(1, len(faces)))
    _, crop, size, _ = view(side, settings)
    less = pictures.shrunk(side, crop, size)

    def generate() -> Iterator[tuple]:
        for epoch in range(first_epoch, epochs):
            order = epoch_order(faces, settings.balance, settings.seed, epoch)
            strength = augmentation.strength(epoch, epochs, settings.augment.settle)
            u = augmentation.settled(augmentation.draw(len(faces), settings.seed, epoch), strength)
            share = 1 - strength * (1 - augmentation.shares(len(faces), settings.seed, epoch, settings.augment.mix))
            for start in range(0, steps_in_epoch(faces, settings) * batch, batch):
                at = order[start : start + batch]
                yield (
                    np.array(faces.pack.images(faces.rows[at]), object),
                    u[at],
                    share[at],
                    side_shown(settings, epoch, epochs),
                    {name: taught[name][at] for name in names},
                    {name: weights[name][at] for name in names},
                )

    signature = (
        tf.TensorSpec((None,), tf.string),
        tf.TensorSpec((None, augmentation.DRAWS), tf.float32),
        tf.TensorSpec((None,), tf.float32),
        tf.TensorSpec((), tf.int32),
        {name: tf.TensorSpec((None, 1 + targets.TARGETS[name].units), tf.float32) for name in names},
        {name: tf.TensorSpec((None,), tf.float32) for name in names},
    )
    settings_of = settings.augment.model_dump()

    def augmented(
        encoded: tf.Tensor, u: tf.Tensor, share: tf.Tensor, shown: tf.Tensor, label: dict, weight: dict
    ) -> tuple:
        images = augmentation.augment(
            decode_batch(encoded, side, less), u, crop // less, settings_of, shown if settings.growing else size
        )
        if settings.augment.mix:
            images = augmentation.mix_images(images, share)
            for name in names:
                label[name], weight[name] = augmentation.mix_labels(label[name], weight[name], share)
        return images, label, weight

    data = tf.data.Dataset.from_generator(generate, output_signature=signature)
    return data.map(augmented, num_parallel_calls=settings.threads, deterministic=True).prefetch(4)


def decode_batch(encoded: tf.Tensor, side: int, less: int = 1) -> tf.Tensor:
    """Decode JPEGs (n,) to (n, side, side, 3) uint8; a smaller picture is centred on grey, as pictures.square does.

    less: how many times smaller to decode them, which is cheaper; side is that of the whole picture.
    """
    side //= less

    def one(content: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE", ratio=less)
        shape = tf.shape(image)
        top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
        pads = [[top, side - shape[0] - top], [left, side - shape[1] - left], [0, 0]]
        return tf.ensure_shape(tf.pad(image, pads, constant_values=128), (side, side, 3))

    return tf.map_fn(one, encoded, fn_output_signature=tf.TensorSpec((side, side, 3), tf.uint8))


def compiled(model: keras.Model, settings: params.Train, steps: int) -> keras.Model:
    """Compile with the losses of its heads, and an optimizer on a schedule of `steps`."""
    optimizer = optimizers.build(settings, steps)
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if len(v.shape) < 2])
    model.compile(
        optimizer,
        loss={name: losses.of(targets.TARGETS[name], settings.age_l1) for name in model.output},
        loss_weights={name: settings.loss_weights.get(name, 1.0) for name in model.output},
        jit_compile=False,
    )
    if settings.replicas == 1:
        # what the first step would make; TensorFlow traces a step again that made variables
        optimizer.build(model.trainable_variables)
        said = {name: tf.zeros((1, logits.shape[-1])) for name, logits in model.output.items()}
        model.compute_loss(y={name: tf.zeros((1, 1 + said[name].shape[-1])) for name in said}, y_pred=said)
    return model


TOLD = ("history", "best_value", "best_epoch", "cut_short", "done")


class Validation(keras.callbacks.Callback):
    """Averages the weights, scores them on validation after each epoch, keeps the best, and says how it goes."""

    def __init__(
        self,
        val: Faces,
        train: Faces,
        settings: params.Train,
        side: int,
        steps: int,
        log: Log | None = None,
        minutes: float | None = None,
        place: Path | None = None,
        bar: Sequence[float] = (),
    ) -> None:
        """Take validation faces, the training faces for the floors, and whom to tell each epoch's numbers.

        place: a folder where the state after each epoch is kept, and from which `resume` takes it; None: kept nowhere.
        bar: the val_score, one an epoch, that the best so far must reach, or training stops.
        """
        super().__init__()
        self.val, self.settings, self.log, self.minutes, self.least = val, settings, log, minutes, bar
        self.pixels = np.concatenate([*pixels(val, *view(side, settings))])
        self.floors = {name: metrics.floor(targets.TARGETS[name], *train.labels[name]) for name in train.labels}
        self.keep = np.exp(-1 / (settings.ema_epochs * steps)) if settings.ema_epochs else 0.0
        self.average: list[tf.Variable] = []
        self.best: list[np.ndarray] | None = None
        self.best_value, self.best_epoch, self.cut_short = -np.inf, -1, False
        self.history: list[dict[str, float]] = []
        self.place, self.seconds, self.done = place, 0.0, False
        self.saved: dict[str, np.ndarray] | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Start the average at the first weights."""
        self.started = time.monotonic()
        self.average = [tf.Variable(v.value, trainable=False) for v in self.model.weights]
        pairs = list(zip(self.average, self.model.weights, strict=True))
        self.count = count = tf.Variable(0.0, trainable=False)
        if self.saved is not None:
            for i, mean in enumerate(self.average):
                mean.assign(self.saved[f"average_{i}"])
            count.assign(self.saved["count"])
            self.saved = None

        @tf.function
        def update() -> None:
            # short of the full memory at first, so that the first weights, which are random, are soon forgotten
            keep = tf.minimum(tf.constant(self.keep, tf.float32), (1 + count) / (10 + count))
            count.assign_add(1)
            for mean, new in pairs:
                mean.assign_sub((1 - keep) * (mean - tf.cast(new.value, mean.dtype)))

        self.update = update

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Show the steps of the epoch to who watches a terminal."""
        self.bar = progress.steps(f"epoch {epoch + 1}", self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Move the average."""
        self.update()
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Score the average, keep it where it is the best so far, stop after `patience` epochs without a better one."""
        self.bar.close()
        own = self.model.get_weights()
        averaged = [mean.numpy() for mean in self.average]
        self.model.set_weights(averaged)
        found = self.score()
        self.model.set_weights(own)
        row = {"epoch": epoch, "loss": float(logs["loss"]), **{f"val_{k}": v for k, v in found.items()}}
        self.history.append(row)
        value = found[self.settings.monitor]
        value = value if metrics.higher_is_better(self.settings.monitor.split("_", 1)[-1]) else -value
        if (np.isfinite(value) and value > self.best_value) or self.best is None:
            self.best, self.best_value, self.best_epoch = averaged, value, epoch
        if self.log:
            self.log(epoch, row)
        spent = self.seconds + time.monotonic() - self.started
        late = self.minutes is not None and spent > 60 * self.minutes
        self.cut_short = self.cut_short or late
        hopeless = epoch < len(self.least) and max(entry["val_score"] for entry in self.history) < self.least[epoch]
        self.done = late or hopeless or epoch - self.best_epoch >= self.settings.patience
        if self.done:
            self.model.stop_training = True
        if self.place:
            self.keep_state(spent)

    def keep_state(self, spent: float) -> None:
        """Write all that the next epochs depend on, in one file that is there whole or not at all."""
        arrays = {"count": self.count.numpy()}
        for kind, values in (
            ("model", [v.numpy() for v in self.model.variables]),
            ("optimizer", [v.numpy() for v in self.model.optimizer.variables]),
            ("average", [v.numpy() for v in self.average]),
            ("best", self.best),
        ):
            arrays.update({f"{kind}_{i}": value for i, value in enumerate(values)})
        told = {name: getattr(self, name) for name in TOLD} | {"seconds": spent}
        arrays["told"] = np.array(json.dumps(told))

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez(file, **arrays)

        try:
            running.replace(self.place / "epoch.npz", write)
        except OSError as error:
            progress.say(f"training goes on, but its state cannot be kept: {error}")

    def resume(self, model: keras.Model) -> int:
        """Take up what an earlier process kept of this training, if it did; returns the epoch to go on with."""
        path = self.place / "epoch.npz" if self.place else None
        if path is None or not path.exists():
            return 0
        try:
            with np.load(path) as kept:
                self.saved = dict(kept)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            progress.say(f"the state that an earlier run kept cannot be read ({error}): beginning anew")
            return 0
        model.optimizer.build(model.trainable_variables)
        for kind, variables in (("model", model.variables), ("optimizer", model.optimizer.variables)):
            for i, variable in enumerate(variables):
                variable.assign(self.saved[f"{kind}_{i}"])
        self.best = [self.saved[f"best_{i}"] for i in range(len(model.weights))]
        for name, value in json.loads(str(self.saved["told"])).items():
            setattr(self, name, value)
        progress.say(f"an earlier run was stopped after epoch {len(self.history)}: going on from there")
        return len(self.history)

    def score(self) -> dict[str, float]:
        """Score the model's present weights on validation."""
        said = probabilities(self.model, self.pixels, self.settings.views)
        decoded: dict[str, np.ndarray] = {}
        for name in self.val.labels:
            decoded.update(targets.decode(targets.TARGETS[name], said[name]))
        return metrics.evaluate(list(self.val.labels), self.val.labels, decoded, self.floors)


def logits(model: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Logits {target: (n, units)} of (n, s, s, 3) uint8 pictures, BATCH at a time."""
    found = [model.predict_on_batch(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    # of a model of several replicas, each says all of a batch, one after the other
    return {name: np.concatenate([part[name][:BATCH] for part in found])[: len(images)] for name in found[0]}


def probabilities(model: keras.Model, images: np.ndarray, views: int) -> dict[str, np.ndarray]:
    """Probabilities {target: (n, units)} of (n, s, s, 3) uint8 pictures; at 2 views the mean with the mirror image."""
    said = [{name: softmax(each) for name, each in logits(model, images).items()}]
    if views == 2:
        said.append({name: softmax(each) for name, each in logits(model, images[:, :, ::-1]).items()})
    return {name: np.mean([each[name] for each in said], axis=0) for name in said[0]}


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64."""
    e = np.exp(np.asarray(logits, np.float64) - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def fit(
    row: params.Model,
    train: Faces,
    val: Faces,
    settings: params.Train,
    side: int,
    epochs: int,
    log: Log | None = None,
    minutes: float | None = None,
    place: Path | None = None,
    lesson: dict[str, np.ndarray] | None = None,
    bar: Sequence[float] = (),
) -> tuple[keras.Model, Validation]:
    """Train a row of models and return it with its best averaged weights, and the callback that holds its history.

    lesson: what teachers say of the training faces, as lessons.read gives it. bar: as in Validation.
    place: a folder for the state after each epoch; a training that finds one there goes on from it, and ends with the
    weights that it would have had. Raises SystemExit, naming the remedy, where there is nothing to train on.
    """
    if not len(train) or not len(val):
        raise SystemExit(f"{row.dataset} {row.variant}: {len(train)} training and {len(val)} validation faces: too few")
    steps = steps_in_epoch(train, settings)
    if settings.growing:
        network(row, settings)  # whose faults are told first
    model = network(row, settings, any_size=bool(settings.growing), replicas=settings.replicas)
    validation = Validation(val, train, settings, side, steps, log, minutes, place, bar)
    with model.distribute_strategy.scope() if settings.replicas > 1 else contextlib.nullcontext():
        compiled(model, settings, steps * epochs)
        first = validation.resume(model)
    if first < epochs and not validation.done:
        model.fit(
            batches(train, settings, side, epochs, first, lesson),
            initial_epoch=first,
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=[validation],
            shuffle=False,
            verbose=0,
        )
    if settings.growing or settings.replicas > 1:
        model = network(row, settings)
    model.set_weights(validation.best)
    return model, validation


def shared_by(replicas: int, batch_size: int) -> contextlib.AbstractContextManager:
    """Where a model is made that so many GPUs of this machine train together; a CPU that TensorFlow splits will do.

    Raises SystemExit where there are fewer, or a batch cannot be shared evenly.
    """
    if replicas == 1:
        return contextlib.nullcontext()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < replicas:
        kind = devices[0].device_type
        raise SystemExit(f"train.replicas: {replicas} devices are asked for, and TensorFlow sees {len(devices)} {kind}")
    if batch_size % replicas:
        raise SystemExit(f"train.batch_size: {batch_size} faces cannot be shared evenly by {replicas} train.replicas")
    return tf.distribute.MirroredStrategy([device.name for device in devices[:replicas]]).scope()


def network(row: params.Model, settings: params.Train, any_size: bool = False, replicas: int = 1) -> keras.Model:
    """Build the network of a row, with the weights that it starts with.

    any_size: for pictures of any size. replicas: devices that are to train it together. Raises SystemExit where the
    network is of one size by design.
    """
    policy = keras.mixed_precision.dtype_policy()
    keras.utils.clear_session()  # names count up from here, so that a model's file does not tell what came before it
    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(settings.seed)
    heads = {name: targets.TARGETS[name].units for name in row.targets}
    try:
        size = None if any_size else settings.image_size
        with shared_by(replicas, settings.batch_size):
            return networks.build(row.network, size, heads, settings.dropout, row.options)
    except (TypeError, ValueError) as error:
        if not any_size:
            raise
        raise SystemExit(f"{row.network} takes pictures of one size: leave `train.growing` empty for it") from error


def served(model: keras.Model, views: int) -> keras.Model:
    """The model as it is served: `image` (n, s, s, 3) uint8 in, each head's probabilities out under its name.

    And `embedding` (n, channels) float32, where the network has such a layer. At 2 views each is the mean of what the
    network says of the picture and of its mirror image.
    """
    outputs = {name: keras.layers.Softmax(name=f"p_{name}")(logits) for name, logits in model.output.items()}
    if any(layer.name == networks.EMBEDDING for layer in model.layers):
        features = model.get_layer(networks.EMBEDDING).output
        outputs[networks.EMBEDDING] = keras.layers.Activation("linear", dtype="float32", name="features")(features)
    one = keras.Model(model.input, outputs)
    if views == 1:
        return one
    image = keras.Input(model.input_shape[1:], dtype="uint8", name="image")
    both = [one(image), one(image[:, :, ::-1])]
    return keras.Model(
        image, {name: keras.layers.Average(name=f"mean_{name}")([each[name] for each in both]) for name in outputs}
    )


def export_onnx(model: keras.Model, path: Path, metadata: dict[str, str], views: int = 1) -> None:
    """Write the model as ONNX, as it is served.

    Metadata is kept inside the file; the same weights give the same bytes.
    """
    import onnx

    keras.mixed_precision.set_global_policy("float32")
    exported = served(in_float32(model), views)
    exported(np.zeros((1, *model.input_shape[1:]), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras still asks NumPy for np.object
        exported.export(path, format="onnx", verbose=False)
    graph = onnx.load(path)
    graph.graph.doc_string = ""  # this and the next count what the process has done before
    del graph.graph.value_info[:]
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.helper.set_model_props(graph, metadata)
    path.write_bytes(graph.SerializeToString(deterministic=True))


def in_float32(model: keras.Model) -> keras.Model:
    """The same model with all its arithmetic in float32, in which ONNX Runtime knows every operator."""
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    config = json.dumps(model.get_config()).replace("mixed_bfloat16", "float32")
    plain = type(model).from_config(json.loads(config))
    plain.set_weights(model.get_weights())
    return plain
