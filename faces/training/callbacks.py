"""What runs after each step and epoch: weight averaging, validation, early stopping, saving the state."""

import json
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from faces import params, targets
from faces.data.labelled_faces import BATCH, Faces, pixels, view
from faces.evaluation import selection
from faces.runtime import progress, running

Log = Callable[[int, dict[str, float]], None]
STATE = ("history", "best_value", "best_epoch", "cut_short", "done")  # attributes that are saved, besides arrays


class Validation(keras.callbacks.Callback):
    """Averages the weights, scores the average on validation after each epoch, keeps the best, stops early."""

    def __init__(
        self,
        val: Faces,
        train: Faces,
        settings: params.Settings,
        side: int,
        steps: int,
        log: Log | None = None,
        minutes: float | None = None,
        state_folder: Path | None = None,
        required_scores: Sequence[float] = (),
    ) -> None:
        """Take validation faces, training faces for the dummy baselines, and a function to log each epoch's numbers.

        state_folder: where the state is saved after each epoch, and from which `resume` loads it; None: not saved.
        required_scores: one val_score an epoch; training stops where the best score so far is below it.
        """
        super().__init__()
        self.val, self.settings, self.log, self.minutes = val, settings, log, minutes
        self.state_file = state_folder / "epoch.npz" if state_folder else None
        self.required = required_scores
        self.pixels = np.concatenate([*pixels(val, *view(side, settings))])
        self.baselines = {
            name: selection.dummy_prediction(targets.TARGETS[name], *train.labels[name]) for name in train.labels
        }
        self.decay = np.exp(-1 / (settings.ema_epochs * steps)) if settings.ema_epochs else 0.0
        self.average: list[tf.Variable] = []
        self.count: tf.Variable = 0.0
        self.best: list[np.ndarray] = []
        self.best_value, self.best_epoch, self.cut_short = -np.inf, -1, False
        self.history: list[dict[str, float]] = []
        self.face_scores = np.empty(0)  # (n,) of the epoch with the highest val_score: their mean
        self.seconds, self.done = 0.0, False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Start the average at the first weights, or at the saved average."""
        self.started = time.monotonic()
        first = self.average or [v.value for v in self.model.weights]
        self.average = [tf.Variable(values, trainable=False) for values in first]
        self.count = count = tf.Variable(self.count, trainable=False)

        @tf.function
        def update() -> None:
            # a smaller decay in the first steps, so that the random initial weights soon have no influence
            decay = tf.minimum(tf.constant(self.decay, tf.float32), (1 + count) / (10 + count))
            count.assign_add(1)
            for mean, new in zip(self.average, self.model.weights, strict=True):
                mean.assign_sub((1 - decay) * (mean - tf.cast(new.value, mean.dtype)))

        self.update = update

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Show a progress bar of the epoch's steps on a terminal."""
        self.progress_bar = progress.steps(f"epoch {epoch + 1}", self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Update the average."""
        self.update()
        self.progress_bar.update()

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Score the average, keep it if it is the best so far, stop after `patience` epochs without a better one."""
        self.progress_bar.close()
        weights = self.model.get_weights()
        averaged = [mean.numpy() for mean in self.average]
        self.model.set_weights(averaged)
        scores, face_scores = self.score()
        self.model.set_weights(weights)
        row = {"epoch": epoch, "loss": float(logs["loss"]), **{f"val_{k}": v for k, v in scores.items()}}
        if not self.history or row["val_score"] > max(earlier["val_score"] for earlier in self.history):
            self.face_scores = face_scores
        self.history.append(row)
        value = selection.signed(scores[self.settings.monitor], self.settings.monitor)
        if (np.isfinite(value) and value > self.best_value) or not self.best:
            self.best, self.best_value, self.best_epoch = averaged, value, epoch
        if self.log:
            self.log(epoch, row)
        spent = self.seconds + time.monotonic() - self.started
        self.cut_short = self.minutes is not None and spent > 60 * self.minutes
        too_low = epoch < len(self.required) and max(row["val_score"] for row in self.history) < self.required[epoch]
        self.done = self.cut_short or too_low or epoch - self.best_epoch >= self.settings.patience
        self.model.stop_training = self.done
        if self.state_file:
            self.save_state(self.state_file, spent)

    def save_state(self, path: Path, spent: float) -> None:
        """Write all that the next epochs depend on into one file, replaced as a whole."""
        state = {name: getattr(self, name) for name in STATE} | {"seconds": spent}
        arrays: dict[str, Any] = {"count": self.count, "face_scores": self.face_scores, "state": json.dumps(state)}
        for kind, values in (
            ("model", self.model.variables),
            ("optimizer", self.model.optimizer.variables),
            ("average", self.average),
            ("best", self.best),
        ):
            arrays |= {f"{kind}_{i}": np.asarray(value) for i, value in enumerate(values)}

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez(file, **arrays)

        try:
            running.replace(path, write)
        except OSError as error:
            progress.say(f"training continues, but its state cannot be saved: {error}")

    def resume(self, model: keras.Model) -> int:
        """Load the state that an earlier process saved, if any; returns the epoch to continue with."""
        if not self.state_file or not self.state_file.exists():
            return 0
        try:
            with np.load(self.state_file) as arrays:
                saved = dict(arrays)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            progress.say(f"the state that an earlier run saved cannot be read ({error}): training starts again")
            return 0
        model.optimizer.build(model.trainable_variables)
        for kind, variables in (("model", model.variables), ("optimizer", model.optimizer.variables)):
            for i, variable in enumerate(variables):
                variable.assign(saved[f"{kind}_{i}"])
        self.best = [saved[f"best_{i}"] for i in range(len(model.weights))]
        self.average = [saved[f"average_{i}"] for i in range(len(model.weights))]
        self.count, self.face_scores = saved["count"], saved["face_scores"]
        for name, value in json.loads(str(saved["state"])).items():
            setattr(self, name, value)
        progress.say(f"an earlier run was stopped after epoch {len(self.history)}: continuing from there")
        return len(self.history)

    def score(self) -> tuple[dict[str, float], np.ndarray]:
        """Scores of the model's present weights on validation, and the part (n,) of each face in `score`."""
        decoded: dict[str, np.ndarray] = {}
        for name, p in probabilities(self.model, self.pixels, tta_flip=self.settings.tta_flip).items():
            decoded |= targets.decode(targets.TARGETS[name], p)
        compared = list(self.val.labels), self.val.labels, decoded, self.baselines
        return selection.evaluate(*compared), selection.face_scores(*compared)["score"]


def logits(model: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Logits {target: (n, units)} of (n, s, s, 3) uint8 images, BATCH at a time."""
    batches = [model.predict_on_batch(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    # a model of several replicas returns the whole batch once for each replica
    return {name: np.concatenate([batch[name][:BATCH] for batch in batches])[: len(images)] for name in batches[0]}


def probabilities(model: keras.Model, images: np.ndarray, *, tta_flip: bool) -> dict[str, np.ndarray]:
    """Probabilities {target: (n, units)} of (n, s, s, 3) uint8 images; tta_flip: mean with the mirror image's."""
    inputs = [images, images[:, :, ::-1]] if tta_flip else [images]
    predicted = [{name: softmax(values) for name, values in logits(model, x).items()} for x in inputs]
    return {name: np.mean([p[name] for p in predicted], axis=0) for name in predicted[0]}


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64."""
    e = np.exp(np.asarray(logits, np.float64) - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
