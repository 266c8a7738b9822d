"""Search for hyperparameters on validation: packs, split -> data/tuned/MODEL.json."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import keras_tuner
import numpy as np

from stages.lib import faces, fingerprint, lessons, params, progress, running, training


def main(name: str) -> None:
    """Train the defaults and some trials briefly, write the best of them and what each gave."""
    p = params.with_seed(params.load().for_model(name))
    row = p.models[name]
    pack, split = faces.open_pack(row)
    budget = p.budget_for(pack.manifest["kind"])
    out = Path("data/tuned") / f"{name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    result = {"values": {}, "defaults": None, "best": None, "gain": None, "cut_short": False, "trials": []}
    if budget.trials and p.tune.space:
        training.prepare(p.train.threads, p.train.seed, budget.precision)
        (train, ids), (val, _) = (faces.of(split, pack, part, row.targets) for part in ("train", "val"))
        lesson = Path("data/lessons") / row.lesson
        taught = lessons.read(lesson, ids, row.targets)
        key = fingerprint.of("tune", name, [row], p, ("train", "tune", "budget", "budgets"), [lesson / lessons.FILE])
        with running.unfinished("tune", name, key) as place:
            result = search(name, p, row, train, val, pack.manifest["side"], budget, place, taught)
        gain = result["gain"]
        progress.say(
            f"{name}: the best trial gains {gain:+.4f} of score, {p.tune.least_gain:g} is asked for; kept: "
            f"{result['values'] or 'the defaults'}"
        )
    out.write_text(json.dumps(result, indent=1) + "\n")


def search(
    name: str,
    p: params.Params,
    row: params.Model,
    train: faces.Faces,
    val: faces.Faces,
    side: int,
    budget: params.Budget,
    place: Path,
    taught: dict[str, np.ndarray] | None = None,
) -> dict:
    """Run the defaults, then the trials; all are trained alike and scored by `score` on validation.

    The best trial's values are kept where it gains tune.least_gain or more over the defaults.

    place: a folder where finished trials are kept, and each epoch of the one under way; made where there is none. The
    search is repeated from its start, a trial that is found there is not trained again and one that was under way goes
    on, so a search that was stopped ends as if it had not been.
    """
    place.mkdir(parents=True, exist_ok=True)
    kept = place / "trials.json"
    done = json.loads(kept.read_text()) if kept.exists() else {"seconds": 0.0, "trials": []}
    started = time.monotonic() - done["seconds"]
    trials: list[dict] = []

    def run(values: dict[str, float]) -> float:
        label = "defaults" if not trials else f"trial {len(trials)} of {budget.trials}"
        known = done["trials"][len(trials)] if len(trials) < len(done["trials"]) else None
        if known and known["values"] == values:
            trials.append(known)
            progress.say(f"{name} {label}: score {known['score']:.4f}, from an earlier run that was stopped")
            return known["score"]

        def tell(epoch: int, numbers: dict[str, float]) -> None:
            shown = {key: numbers[key] for key in ("loss", "val_score")}
            progress.epoch(f"{name} {label},", epoch, budget.trial_epochs, shown)

        settings, state = params.with_value(p.train, values), place / f"{len(trials)}"
        state.mkdir(exist_ok=True)
        _, validation = training.fit(
            row, train, val, settings, side, budget.trial_epochs, tell, place=state, lesson=taught
        )
        history = [{k: round(v, 6) for k, v in entry.items()} for entry in validation.history]
        score = max(entry["val_score"] for entry in history)
        trials.append({"trial": len(trials), "values": values, "score": score, "history": history})
        seconds = time.monotonic() - started
        text = json.dumps({"seconds": seconds, "trials": trials})
        running.replace(kept, lambda part: part.write_text(text))
        shutil.rmtree(state)
        left = seconds / len(trials) * (budget.trials + 1 - len(trials))
        progress.say(f"{name} {label}: score {score:.4f} with {values or 'params.yaml'}; about {left:.0f} s left")
        return score

    run({})
    tuner = searcher(p.tune, budget.trials, place / "oracle", run, started, budget.tune_minutes)
    tuner.search(verbose=0)
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


def searcher(
    tune: params.Tune,
    trials: int,
    folder: Path,
    run: Callable[[dict[str, float]], float],
    started: float,
    minutes: float | None,
) -> keras_tuner.Tuner:
    """Return KerasTuner's search over the space of params.yaml, with `run` as its trial."""
    base = {"bayesian": keras_tuner.BayesianOptimization, "random": keras_tuner.RandomSearch}[tune.method]

    class Trials(base):
        def run_trial(self, trial, *args, **kwargs):  # noqa: ANN001
            try:
                return -run({key: trial.hyperparameters.values[key] for key in tune.space})
            except Exception as error:  # KerasTuner would go on with the next trial
                raise keras_tuner.errors.FatalError(str(error)) from error

        def on_trial_end(self, trial) -> None:  # noqa: ANN001
            super().on_trial_end(trial)
            if minutes is not None and time.monotonic() - started > 60 * minutes:
                self.oracle.max_trials = 0

    space = keras_tuner.HyperParameters()
    for key, values in tune.space.items():
        space.Float(key, values.min, values.max, step=values.step, sampling=values.sampling)
    return Trials(
        hyperparameters=space,
        hypermodel=None,
        objective=keras_tuner.Objective("default_objective", "min"),
        max_trials=trials,
        seed=tune.seed + 1,  # KerasTuner takes 0 for none
        tune_new_entries=False,
        overwrite=True,
        directory=str(folder),
        project_name="trials",
    )


if __name__ == "__main__":
    running.stage(main)
