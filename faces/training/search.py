"""Search for hyperparameters: rounds of trials that KerasTuner proposes, scored on validation."""

import shutil
import statistics
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus

from faces import params
from faces.data import records
from faces.data.labelled_faces import Faces
from faces.params import overrides
from faces.runtime import progress, running
from faces.training import loop
from faces.training.start import Start


def run(
    name: str,
    settings: params.Settings,
    tune: params.Tune,
    row: params.Model,
    train: Faces,
    val: Faces,
    side: int,
    budget: params.Budget,
    folder: Path,
    soft_targets: dict[str, np.ndarray] | None = None,
    start: Start | None = None,
) -> dict:
    """Train the defaults and the trials, in rounds of tune.parallel_trials; all are scored by `score` on validation.

    The best trial's values are kept where it gains tune.min_improvement or more over the defaults. The values of a
    round, and the scores that its trials must reach, follow from earlier rounds alone, so the order in which trials end
    does not matter.

    folder: for finished trials, and the state of each one under way after each epoch; made where there is none. The
    search is repeated from its start: a trial in the folder is not trained again, and one under way continues. So a
    search that was stopped ends with the same result. A trial's face_scores are those of validation faces (n,) at its
    best epoch; their mean is its score.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "trials.json"
    saved = records.read_json(file) if file.exists() else {}
    known: dict[int, dict] = {trial["trial"]: trial for trial in saved.get("trials", [])}
    started = time.monotonic() - saved.get("seconds", 0.0)
    trials: list[dict] = []

    def label(number: int) -> str:
        return f"{name} {f'trial {number} of {budget.trials}' if number else 'defaults'}"

    def save(number: int, values: dict[str, float], fitted: loop.Fitted) -> None:
        history = [{k: round(v, 6) for k, v in entry.items()} for entry in fitted.history]
        score = max(entry["val_score"] for entry in history)
        known[number] = {"trial": number, "values": values, "score": score, "history": history}
        known[number]["face_scores"] = [round(float(value), 6) for value in fitted.face_scores]
        seconds = time.monotonic() - started
        state = {"seconds": seconds, "trials": [known[i] for i in sorted(known)]}
        running.replace(file, lambda part: records.write_json(state, part))
        shutil.rmtree(folder / f"{number}", ignore_errors=True)
        left = seconds / len(known) * (budget.trials + 1 - len(known))
        rest = f"; search: {progress.duration(left)} left" if left else ""
        progress.say(f"{label(number)}: score {score:.4f} with {as_text(values) or 'the values of params.yaml'}{rest}")

    def train_round(proposed: Sequence[dict[str, float]]) -> list[float]:
        first = len(trials)
        required = required_scores(trials, tune.median_stopping_after, budget.trial_epochs)
        new: list[int] = []
        new_jobs = []
        for number, values in enumerate(proposed, first):
            if known.get(number, {}).get("values") == values:
                progress.say(f"{label(number)}: score {known[number]['score']:.4f}, from an earlier run")
                continue
            state_folder = folder / f"{number}"
            state_folder.mkdir(exist_ok=True)
            tried = overrides.with_values(settings, values)
            new.append(number)
            new_jobs.append(loop.Job(tried, budget.trial_epochs, None, state_folder, required))
        lines = [progress.Epochs(label(number), budget.trial_epochs) for number in new]

        def on_epoch(job: int, epoch: int, numbers: dict[str, float]) -> None:
            lines[job](epoch, {key: numbers[key] for key in ("loss", "val_score")})

        if new_jobs:
            for job, fitted in loop.train_all(
                new_jobs, on_epoch, row, train, val, side, budget.precision, soft_targets, start
            ):
                save(new[job], proposed[new[job] - first], fitted)
                for later in lines[job + 1 :]:
                    later.restart()
        trials.extend(known[first + i] for i in range(len(proposed)))
        return [trial["score"] for trial in trials[first:]]

    rounds = proposals(tune, budget.trials, folder / "oracle")
    proposed = next(rounds)
    while proposed and not (
        budget.tune_minutes and len(trials) > 1 and time.monotonic() - started > 60 * budget.tune_minutes
    ):
        proposed = rounds.send(train_round(proposed))
    best = max(trials, key=lambda trial: trial["score"])
    gain = best["score"] - trials[0]["score"]
    return {
        "values": {} if gain < tune.min_improvement else best["values"],
        "defaults": trials[0]["score"],
        "best": best["score"],
        "gain": round(gain, 6),
        "cut_short": len(trials) < budget.trials + 1,
        "trials": trials,
    }


def as_text(values: dict[str, float]) -> str:
    """Values as text: `learning_rate 0.001322, dropout 0.4`."""
    return ", ".join(f"{key} {value:.4g}" for key, value in values.items())


def required_scores(trials: Sequence[dict], stopping_after: int | None, epochs: int) -> tuple[float, ...]:
    """For each epoch, the score that a trial's best must reach, or it is stopped; none where stopping_after is None.

    From epoch `stopping_after` on, it is the median over earlier trials of the mean of their scores up to that epoch
    (the median stopping rule: Golovin et al. 2017, "Google Vizier", section 3.2.2).
    """
    if stopping_after is None or not trials:
        return ()
    curves = [[entry["val_score"] for entry in trial["history"]] for trial in trials]
    required = []
    for epoch in range(epochs):
        means = [statistics.mean(curve[: epoch + 1]) for curve in curves if len(curve) > epoch]
        required.append(statistics.median(means) if means and epoch + 1 >= stopping_after else -float("inf"))
    return tuple(required)


def proposals(tune: params.Tune, trials: int, folder: Path) -> Generator[list[dict[str, float]], Sequence[float], None]:
    """Yield rounds of values, tune.parallel_trials at a time: the defaults, {}, then KerasTuner's over tune.space.

    A generator that is sent the scores of each round, in its order. A round is empty after `trials` besides the
    defaults, or where the space has no more to try.
    """
    kind = {"bayesian": keras_tuner.BayesianOptimization, "random": keras_tuner.RandomSearch}[tune.method]
    space = keras_tuner.HyperParameters()
    for key, values in tune.space.items():
        space.Float(key, values.min, values.max, step=values.step, sampling=values.sampling)
    oracle = kind(
        hyperparameters=space,
        hypermodel=lambda _: None,  # only values are asked for
        objective=keras_tuner.Objective("score", "max"),
        max_trials=trials,
        seed=tune.seed + 1,  # KerasTuner takes 0 for none
        tune_new_entries=False,
        overwrite=True,
        directory=str(folder),
        project_name="trials",
    ).oracle
    oracle.verbose = 0
    defaults: list[dict[str, float]] = [{}]
    while True:
        started: list[Trial] = []
        while len(defaults) + len(started) < tune.parallel_trials:
            trial = oracle.create_trial(f"{len(started)}")
            if trial.status != TrialStatus.RUNNING:
                break
            started.append(trial)
        proposed = [{key: trial.hyperparameters.values[key] for key in tune.space} for trial in started]
        scores = yield defaults + proposed
        scores, defaults = scores[len(defaults) :], []
        for trial, score in zip(started, scores, strict=True):
            oracle.update_trial(trial.trial_id, {"score": score})
            trial.status = TrialStatus.COMPLETED
            oracle.end_trial(trial)
