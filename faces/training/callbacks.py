"""What runs after each step and epoch: weight averaging, validation, early stopping, saving the state."""

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
        settings: params.Train,
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
        self.state_folder, self.required = state_folder, required_scores
        self.pixels = np.concatenate([*pixels(val, *view(side, settings))])
        self.baselines = {
            name: selection.dummy_prediction(targets.TARGETS[name], *train.labels[name]) for name in train.labels
        }
        self.decay = np.exp(-1 / (settings.ema_epochs * steps)) if settings.ema_epochs else 0.0
        self.average: list[tf.Variable] = []
        self.best: list[np.ndarray] | None = None
        self.best_value, self.best_epoch, self.cut_short = -np.inf, -1, False
        self.history: list[dict[str, float]] = []
        self.seconds, self.done = 0.0, False
        self.saved: dict[str, np.ndarray] | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Start the average at the first weights, or at the saved average."""
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
            # a smaller decay in the first steps, so that the random initial weights soon have no influence
            decay = tf.minimum(tf.constant(self.decay, tf.float32), (1 + count) / (10 + count))
            count.assign_add(1)
            for mean, new in pairs:
                mean.assign_sub((1 - decay) * (mean - tf.cast(new.value, mean.dtype)))

        self.update = update

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Show a progress bar of the epoch's steps on a terminal."""
        self.progress_bar = progress.steps(f"epoch {epoch + 1}", self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Update the average."""
        self.update()
        self.progress_bar.update()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Score the average, keep it if it is the best so far, stop after `patience` epochs without a better one."""
        self.progress_bar.close()
        weights = self.model.get_weights()
        averaged = [mean.numpy() for mean in self.average]
        self.model.set_weights(averaged)
        scores = self.score()
        self.model.set_weights(weights)
        row = {"epoch": epoch, "loss": float(logs["loss"]), **{f"val_{k}": v for k, v in scores.items()}}
        self.history.append(row)
        value = selection.signed(scores[self.settings.monitor], self.settings.monitor)
        if (np.isfinite(value) and value > self.best_value) or self.best is None:
            self.best, self.best_value, self.best_epoch = averaged, value, epoch
        if self.log:
            self.log(epoch, row)
        spent = self.seconds + time.monotonic() - self.started
        late = self.minutes is not None and spent > 60 * self.minutes
        self.cut_short = self.cut_short or late
        too_low = epoch < len(self.required) and max(row["val_score"] for row in self.history) < self.required[epoch]
        self.done = late or too_low or epoch - self.best_epoch >= self.settings.patience
        if self.done:
            self.model.stop_training = True
        if self.state_folder:
            self.save_state(spent)

    def save_state(self, spent: float) -> None:
        """Write all that the next epochs depend on into one file, replaced as a whole."""
        arrays = {"count": self.count.numpy()}
        for kind, values in (
            ("model", [v.numpy() for v in self.model.variables]),
            ("optimizer", [v.numpy() for v in self.model.optimizer.variables]),
            ("average", [v.numpy() for v in self.average]),
            ("best", self.best),
        ):
            arrays.update({f"{kind}_{i}": value for i, value in enumerate(values)})
        state = {name: getattr(self, name) for name in STATE} | {"seconds": spent}
        arrays["state"] = np.array(json.dumps(state))

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez(file, **arrays)

        try:
            running.replace(self.state_folder / "epoch.npz", write)
        except OSError as error:
            progress.say(f"training continues, but its state cannot be saved: {error}")

    def resume(self, model: keras.Model) -> int:
        """Load the state that an earlier process saved, if any; returns the epoch to continue with."""
        path = self.state_folder / "epoch.npz" if self.state_folder else None
        if path is None or not path.exists():
            return 0
        try:
            with np.load(path) as arrays:
                self.saved = dict(arrays)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            progress.say(f"the state that an earlier run saved cannot be read ({error}): training starts again")
            return 0
        model.optimizer.build(model.trainable_variables)
        for kind, variables in (("model", model.variables), ("optimizer", model.optimizer.variables)):
            for i, variable in enumerate(variables):
                variable.assign(self.saved[f"{kind}_{i}"])
        self.best = [self.saved[f"best_{i}"] for i in range(len(model.weights))]
        for name, value in json.loads(str(self.saved["state"])).items():
            setattr(self, name, value)
        progress.say(f"an earlier run was stopped after epoch {len(self.history)}: continuing from there")
        return len(self.history)

    def score(self) -> dict[str, float]:
        """Score the model's present weights on validation."""
        p = probabilities(self.model, self.pixels, tta_flip=self.settings.tta_flip)
        decoded: dict[str, np.ndarray] = {}
        for name in self.val.labels:
            decoded.update(targets.decode(targets.TARGETS[name], p[name]))
        return selection.evaluate(list(self.val.labels), self.val.labels, decoded, self.baselines)


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
