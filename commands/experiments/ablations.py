"""Train one model with one thing changed at a time, and write what each change gives on validation.

recipes/NAME.levers.yaml lists the changes, and what all have in common so that they are short; each is a DVC
experiment that stops at `train`, so that test is not looked at. Its `readings` read the model of `base` in other ways,
and train nothing. Writes reports/published/NAME/levers.csv, with the gain of each over `base`.
"""

import argparse
import copy
import hashlib
import json
import re
import resource
import tempfile
from pathlib import Path

import dvc.api
import numpy as np
import pandas as pd
import yaml

from commands.publish import recipe
from faces import params, targets
from faces.data import labelled_faces, packs, records
from faces.evaluation import metrics, score_tables
from faces.params import overrides
from faces.runtime import dvc_experiments, progress

FOLDER = Path("recipes")


def main() -> None:
    """Run the levers that are named, or all; those that ran before cost nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="NAME of recipes/NAME.levers.yaml; put its recipe into params.yaml first")
    parser.add_argument("levers", nargs="*", help="levers to run; all unless given")
    words = parser.parse_args()
    listed = yaml.safe_load((FOLDER / f"{words.recipe}.levers.yaml").read_text())
    model, levers, readings = listed["model"], listed["levers"], listed.get("readings", {})
    short = listed.get("short", {})
    known = [*levers, *readings]
    if model not in params.load().models:
        parser.error(f"params.yaml has no model {model}: `make recipe RECIPE={words.recipe}` puts it there")
    strange = [name for name in words.levers if name not in known]
    if strange:
        parser.error(f"{strange[0]!r} is not a lever: {', '.join(known)}")
    # the levers start from what DVC's cache has of the faces, and find it by the dvc.lock of this tree
    recipe.run_to_split(params.load().models[model].dataset)
    out = Path("reports/published") / words.recipe / "levers.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    wanted = words.levers or known
    for number, name in enumerate(wanted):
        changed = levers.get(name, readings.get(name))
        progress.say(f"lever {number + 1} of {len(wanted)}: {name}, {changed or 'nothing changed'}")
        before = core_minutes()
        if name in readings:
            found = read(dvc_experiments.commit(experiment_of("base")), model, **changed)
        else:
            dvc_experiments.run(experiment_of(name), short | changed, [f"train@{model}"])
            found = read(dvc_experiments.commit(experiment_of(name)), model)
        took = core_minutes() - before
        if name in levers and took < 1:
            took = float("nan")  # nothing was trained: DVC's cache had it
        found |= {"lever": name, "changed": json.dumps(changed), "core_minutes": took}
        found["basis"] = basis(short, found["precision"], yaml.safe_load(params.PATH.read_text()))
        records.write(with_gains(add(out, found)).round(4), out)
    print(pd.read_csv(out).to_markdown(index=False))
    print(f"{out}: `python -m commands.publish {words.recipe} --page` shows it")


def basis(short: dict, precision: str, values: dict) -> str:
    """Digest of all that the levers have in common: rows of others are not to be compared with these.

    precision: what the levers were trained in; `auto` is something else on another machine. values: of params.yaml.
    """
    values = copy.deepcopy(values)
    for key, value in short.items():
        *path, last = key.split(".")
        at = values
        for part in path:
            at = at[part]
        at[last] = value
    values["budgets"] = values["budgets"]["real"]
    values["budgets"]["precision"] = precision
    shown = {key: values[key] for key in ("models", "budgets", "train", "split", "clean", "pack")}
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:8]


def core_minutes() -> float:
    """Processor time of this process and those it started and waited for: wall time tells less on a busy machine."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used) / 60


def experiment_of(lever: str) -> str:
    """Name of a lever's DVC experiment."""
    return "lever-" + re.sub(r"[^a-z0-9]+", "-", lever.lower()).strip("-")


def read(
    commit: str, model: str, views: int | None = None, decode: str = "median", zoom: float | None = None
) -> dict[str, float]:
    """Validation scores of a DVC experiment's model, and of the groups where models of faces are weakest.

    views: 1 or 2 at prediction; decode: the age's median or mean; zoom: scale at prediction. The lever's own unless
    given.
    """
    from faces.training import callbacks, loop

    files = dvc.api.DVCFileSystem(rev=commit)
    about = json.loads(files.read_text(f"data/models/{model}/model.json"))
    row, settings = params.Model(**about["recipe"]["model"]), params.Train(**about["recipe"]["train"])
    if zoom is not None:
        settings = overrides.with_value(settings, {"zoom": zoom})
    network = loop.build_network(row, settings)
    with tempfile.TemporaryDirectory() as folder:
        weights, pack, split = (Path(folder) / name for name in ("model.weights.h5", "pack", "split.csv"))
        files.get(f"data/models/{model}/{weights.name}", str(weights))
        files.get(f"data/packs/{row.dataset}/{row.variant}", str(pack), recursive=True)
        files.get(f"data/splits/{row.dataset}.csv", str(split))
        network.load_weights(weights)
        val, _ = labelled_faces.select_part(records.read(split), packs.Pack(pack), "val", row.targets)
        images = np.concatenate([*labelled_faces.pixels(val, *labelled_faces.view(about["pack_size"], settings))])
    said = callbacks.probabilities(network, images, tta_flip=(settings.views if views is None else views) == 2)
    decoded: dict[str, np.ndarray] = {}
    for name, probabilities in said.items():
        decoded |= targets.decode(targets.TARGETS[name], probabilities)
        if decode == "mean" and targets.TARGETS[name].kind == "years":
            decoded[f"{name}_predicted"] = decoded[f"{name}_mean"]
    with files.open(f"data/models/{model}/history.csv") as history:
        epochs = len(pd.read_csv(history))
    found = {"epochs": epochs, "parameters": about["parameters"], "precision": about["recipe"]["budget"]["precision"]}
    return found | metrics.evaluate(list(val.labels), val.labels, decoded, about["floors"]) | weakest(val, decoded)


def weakest(val: labelled_faces.Faces, decoded: dict[str, np.ndarray]) -> dict[str, float]:
    """Scores of the groups that a published result names, where their target and age are known."""
    found = {}
    ages, known = val.labels.get("age", (np.zeros(len(val)), np.zeros(len(val))))
    for name, score, title, chosen in (
        ("sex", "accuracy", f"below_{score_tables.YOUNG}", (ages < score_tables.YOUNG) & (known > 0)),
        ("age", "mae", f"above_{score_tables.OLD}", (ages > score_tables.OLD) & (known > 0)),
        ("ethnicity", f"recall_{score_tables.LAST}", "", np.ones(len(val), bool)),
    ):
        if name in val.labels:
            target = targets.TARGETS[name]
            each = metrics.statistics(target, *val.labels[name], decoded)[chosen]
            value = metrics.scores(target, each.sum(axis=0))[score]
            found["_".join(part for part in (name, score, title) if part)] = float(value)
    return found


def add(path: Path, found: dict) -> pd.DataFrame:
    """Rows of levers.csv with one more, in the place of one of its name, and with its cost where none is known now.

    Rows that were measured on another basis go.
    """
    digest = {"basis": str}  # also where it has no letter
    rows = pd.read_csv(path, dtype=digest) if path.exists() else pd.DataFrame(columns=["lever", "basis"])
    rows = rows[rows["basis"] == found["basis"]]
    old = rows[rows["lever"] == found["lever"]]
    if len(old) and found["core_minutes"] != found["core_minutes"]:
        found["core_minutes"] = float(old["core_minutes"].iloc[0])
    return pd.concat([rows[rows["lever"] != found["lever"]], pd.DataFrame([found])], ignore_index=True)


def with_gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the gain of each score over `base`, where that has run; less error is a gain."""
    rows = rows[[name for name in rows if not name.endswith("_gain")]].copy()
    base = rows[rows["lever"] == "base"]
    for name in ("score", "age_mae", "sex_accuracy", "ethnicity_accuracy"):
        if len(base) and name in rows:
            sign = -1 if name == "age_mae" else 1
            rows[f"{name}_gain"] = sign * (rows[name].astype(float) - float(base[name].iloc[0]))
    first = [name for name in ("lever", "changed", "core_minutes", "precision", "epochs", "parameters") if name in rows]
    return rows[first + [name for name in rows if name not in (*first, "basis")] + ["basis"]]


if __name__ == "__main__":
    main()
