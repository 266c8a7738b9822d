"""What happens after each step and epoch: the averaged weights, validation, early stopping, the saved state."""

import json
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from faces import params, targets
from faces.data.labelled_faces import BATCH, Faces, pixels, view
from faces.evaluation import metrics
from faces.runtime import progress, running

Log = Callable[[int, dict[str, float]], None]
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
