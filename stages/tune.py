"""Search for hyperparameters on validation: packs, split -> data/tuned/MODEL.json."""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faces import params
from faces.data import labelled_faces
from faces.params import overrides
from faces.runtime import progress, running
from faces.training import fingerprint, soft_targets

if TYPE_CHECKING:
    import numpy as np

    from faces.training.jobs import Fitted, Job

RUNNING, COMPLETED = "RUNNING", "COMPLETED"  # of KerasTuner's trials


def main(name: str) -> None:
    """Train the defaults and some trials briefly, write the best of them and what each gave."""
    p = params.load()
    row = p.models[name]
    pack, split = labelled_faces.open_pack(row)
    p, row = overrides.for_row(p, row, pack.manifest["kind"])
    p = overrides.with_seed(p)
    budget = overrides.budget_for(p, pack.manifest["kind"])
    out = Path("data/tuned") / f"{name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    result = {"values": {}, "defaults": None, "best": None, "gain": None, "cut_short": False, "trials": []}
    if budget.trials and p.tune.space:
        # here, since without trials no TensorFlow is needed; both, since the key below counts the code that is loaded
        from faces.training import (
            jobs,  # noqa: F401
            reproducibility,
        )

        budget = budget.model_copy(update={"precision": reproducibility.resolved(budget.precision)})
        (train, ids), (val, _) = (
            labelled_faces.select_part(split, pack, part, row.targets) for part in ("train", "val")
        )
        lesson = Path("data/lessons") / row.lesson
        taught = soft_targets.read(lesson, ids, row.targets)
        key = fingerprint.of(
            "tune", name, [row], p, ("train", "tune", "budget", "budgets"), [lesson / soft_targets.FILE]
        )
        with running.unfinished("tune", name, key) as place:
            result = search(name, p, row, train, val, pack.manifest["side"], budget, place, taught)
        gain = result["gain"]
        progress.say(
            f"{name}: the best trial is taken, {told(result['values'])}: its score is {gain:.4f} better"
            if result["values"]
            else f"{name}: the values of params.yaml stay, since no trial scores {p.tune.least_gain:g} better"
        )
    out.write_text(json.dumps(result, indent=1) + "\n")


def search(
    name: str,
    p: params.Params,
    row: params.Model,
    train: labelled_faces.Faces,
    val: labelled_faces.Faces,
    side: int,
    budget: params.Budget,
    place: Path,
    taught: dict[str, np.ndarray] | None = None,
) -> dict:
    """Run the defaults and the trials, in rounds of tune.together; all are scored by `score` on validation.

    The best trial's values are kept where it gains tune.least_gain or more over the defaults. What a round tries, and
    what its trials must reach, follows from the rounds before it alone, so that it does not matter which ends first.

    place: a folder where finished trials are kept, and each epoch of those under way; made where there is none. The
    search is repeated from its start, a trial that is found there is not trained again and one that was under way goes
    on, so a search that was stopped ends as if it had not been.
    """
    from faces.training import jobs

    place.mkdir(parents=True, exist_ok=True)
    kept = place / "trials.json"
    done = json.loads(kept.read_text()) if kept.exists() else {"seconds": 0.0, "trials": []}
    known: dict[int, dict] = {trial["trial"]: trial for trial in done["trials"]}
    started = time.monotonic() - done["seconds"]
    trials: list[dict] = []

    def label(number: int) -> str:
        return f"{name} {f'trial {number} of {budget.trials}' if number else 'defaults'}"

    def keep(number: int, values: dict[str, float], fitted: Fitted) -> None:
        history = [{k: round(v, 6) for k, v in entry.items()} for entry in fitted.history]
        score = max(entry["val_score"] for entry in history)
        known[number] = {"trial": number, "values": values, "score": score, "history": history}
        seconds = time.monotonic() - started
        text = json.dumps({"seconds": seconds, "trials": [known[each] for each in sorted(known)]})
        running.replace(kept, lambda part: part.write_text(text))
        shutil.rmtree(place / f"{number}", ignore_errors=True)
        left = seconds / len(known) * (budget.trials + 1 - len(known))
        rest = f"; search: {progress.duration(left)} left" if left else ""
        progress.say(f"{label(number)}: score {score:.4f} with {told(values) or 'the values of params.yaml'}{rest}")

    def run(tried: Sequence[dict[str, float]]) -> list[float]:
        numbers = range(len(trials), len(trials) + len(tried))
        bar = hopeless(trials, p.tune.give_up, budget.trial_epochs)
        new_jobs: dict[int, Job] = {}
        for number, values in zip(numbers, tried, strict=True):
            if known.get(number, {}).get("values") == values:
                progress.say(f"{label(number)}: score {known[number]['score']:.4f}, from an earlier run")
                continue
            state = place / f"{number}"
            state.mkdir(exist_ok=True)
            new_jobs[number] = jobs.Job(
                overrides.with_value(p.train, values), budget.trial_epochs, place=state, bar=bar
            )
        order = list(new_jobs)
        say = [progress.Epochs(label(number), budget.trial_epochs) for number in order]

        def tell(job: int, epoch: int, numbers: dict[str, float]) -> None:
            say[job](epoch, {key: numbers[key] for key in ("loss", "val_score")})

        if new_jobs:
            for job, fitted in jobs.run([*new_jobs.values()], tell, row, train, val, side, budget.precision, taught):
                keep(order[job], tried[order[job] - len(trials)], fitted)
                for later in say[job + 1 :]:
                    later.restart()
        trials.extend(known[number] for number in numbers)
        return [trial["score"] for trial in trials[-len(tried) :]]

    rounds = proposals(p.tune, budget.trials, place / "oracle")
    tried = next(rounds)
    while tried and not (budget.tune_minutes and len(trials) > 1 and late(started, budget.tune_minutes)):
        scores = run(tried)
        try:
            tried = rounds.send(scores)
        except StopIteration:
            break
    best = max(trials, key=lambda trial: trial["score"])
    lucky = best["score"] - trials[0]["score"] < p.tune.least_gain
    return {
        "values": {} if lucky else best["values"],
        "defaults": trials[0]["score"],
        "best": best["score"],
        "gain": round(best["score"] - trials[0]["score"], 6),
        "cut_short": len(trials) < budget.trials + 1,
        "trials": trials,
    }


def late(started: float, minutes: float) -> bool:
    """Whether so many minutes have passed since a time of time.monotonic()."""
    return time.monotonic() - started > 60 * minutes


def told(values: dict[str, float]) -> str:
    """Values in words: `learning_rate 0.001322, dropout 0.4`."""
    return ", ".join(f"{key} {value:.4g}" for key, value in values.items())


def hopeless(trials: Sequence[dict], give_up: int | None, epochs: int) -> tuple[float, ...]:
    """The score, one an epoch, that a trial's best must reach not to be stopped; none where give_up is None.

    From epoch `give_up` on, it is the median over the trials that came so far of the mean of their scores until then
    (the median stopping rule: Golovin et al. 2017, "Google Vizier", section 3.2.2).
    """
    if give_up is None or not trials:
        return ()
    curves = [[entry["val_score"] for entry in trial["history"]] for trial in trials]
    bar = []
    for epoch in range(epochs):
        means = [statistics.mean(curve[: epoch + 1]) for curve in curves if len(curve) > epoch]
        bar.append(statistics.median(means) if means and epoch + 1 >= give_up else -float("inf"))
    return tuple(bar)


def proposals(tune: params.Tune, trials: int, folder: Path) -> Iterator[list[dict[str, float]]]:
    """Yield rounds of values to try, tune.together at a time: the defaults, {}, then KerasTuner's over tune.space.

    A generator that is sent the scores of each round, in its order; it ends after `trials` besides the defaults, or
    where the space has no more to try.
    """
    import keras_tuner

    kind = {"bayesian": keras_tuner.BayesianOptimization, "random": keras_tuner.RandomSearch}[tune.method]
    space = keras_tuner.HyperParameters()
    for key, values in tune.space.items():
        space.Float(key, values.min, values.max, step=values.step, sampling=values.sampling)
    oracle = kind(
        hyperparameters=space,
        hypermodel=lambda _: None,  # it is asked for values alone
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
        tried = []
        while len(defaults) + len(tried) < tune.together:
            trial = oracle.create_trial(f"{len(tried)}")
            if trial.status != RUNNING:
                break
            tried.append(trial)
        if not defaults and not tried:
            return
        scores = yield defaults + [{key: each.hyperparameters.values[key] for key in tune.space} for each in tried]
        scores, defaults = scores[len(defaults) :], []
        for trial, score in zip(tried, scores, strict=True):
            oracle.update_trial(trial.trial_id, {"score": score})
            trial.status = COMPLETED
            oracle.end_trial(trial)


if __name__ == "__main__":
    running.stage(main)
