"""Search for hyperparameters on validation: packs, split, soft targets -> data/tuned/MODEL.json."""

from pathlib import Path

import numpy as np

from faces import params
from faces.data import labelled_faces, records
from faces.evaluation import gains
from faces.params import overrides
from faces.runtime import progress, running
from faces.training import fingerprint, soft_targets


def main(name: str) -> None:
    """Train the defaults and some trials briefly, write the best of them and the scores of all."""
    p = params.load()
    row = p.models[name]
    pack, split = labelled_faces.open_pack(row)
    settings, budget, row = overrides.for_row(p, row)
    settings = settings.model_copy(update={"seed": p.tune.seed})  # the result must not depend on the seed of training
    result = {"values": {}, "defaults": None, "best": None, "gain": None, "cut_short": False, "trials": []}
    at_random = 3 * len(p.tune.space)  # so many points KerasTuner draws before its model proposes one
    if p.tune.method == "bayesian" and 0 < budget.trials <= at_random:
        progress.say(
            f"{name}: bayesian search begins with {at_random} random trials, so these {budget.trials} are random"
        )
    if budget.trials and p.tune.space:
        # here, since without trials no TensorFlow is needed; before the key, which is of the code that is loaded
        from faces.training import reproducibility, search, start

        budget = budget.model_copy(update={"precision": reproducibility.resolved(budget.precision)})
        (train, ids), (val, val_ids) = (
            labelled_faces.select_part(split, pack, part, row.targets) for part in ("train", "val")
        )
        labelled_faces.check_labels({"train": train, "val": val})
        folder = Path("data/soft_targets") / row.teachers
        soft = soft_targets.read(folder, ids, row.targets)
        values = [overrides.recipe(settings, budget, row), p.tune.model_dump()]
        reproducibility.prepare(settings.threads, settings.seed, budget.precision)  # before `start` loads a model
        given = start.read(row, settings, pack.manifest)
        key = fingerprint.key("tune", name, [row], values, [folder / soft_targets.FILE, *start.files(row)])
        with running.unfinished("tune", name, key) as state:
            side = pack.manifest["side"]
            result = search.run(name, settings, p.tune, row, train, val, side, budget, state, soft, given)
        add_gains(result["trials"], split.set_index("face_id").loc[val_ids, "group"].to_numpy())
        best = max(result["trials"], key=lambda trial: trial["score"])
        progress.say(
            f"{name}: the best trial's values are kept, {search.as_text(result['values'])}: its score is "
            f"{result['gain']:.4f} better (standard error {best['standard_error']:.4f})"
            if result["values"]
            else f"{name}: the values of params.yaml are kept, since no trial scores {p.tune.min_improvement:g} better"
        )
    records.write_json(result, f"data/tuned/{name}.json")


def add_gains(trials: list[dict], people: np.ndarray) -> None:
    """Replace the face_scores of trials by what each gains over the first, the defaults: difference, standard_error.

    people: (n,) the group of each validation face.
    """
    defaults, *others = [np.array(trial.pop("face_scores")) for trial in trials]
    for trial, face_scores in zip(trials[1:], others, strict=True):
        gain = gains.paired(face_scores, defaults, people)
        trial |= {key: round(value, 6) for key, value in gain.items()}


if __name__ == "__main__":
    running.stage(main)
