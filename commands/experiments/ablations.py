"""Train one model with one thing changed at a time, and write the gain of each change on validation.

recipes/NAME.ablations.yaml lists the changes, and the settings that all share so that they are short. Each is a DVC
experiment that ends with `train`, so test faces are not used. Its `readings` train nothing: they predict with the model
of `base` in other ways. Writes reports/published/NAME/levers.csv, with each gain over `base`.
"""

import argparse
import json
import re
import resource
import tempfile
from pathlib import Path

import dvc.api
import numpy as np
import pandas as pd
import yaml

from faces import params, targets
from faces.data import labelled_faces, packs, records
from faces.evaluation import metrics, score_tables, selection
from faces.params import overrides, recipes
from faces.reporting import published
from faces.runtime import dvc_experiments, pipeline, progress


def main() -> None:
    """Run the named ablations, or all; DVC restores those that ran before from its cache."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="NAME of recipes/NAME.ablations.yaml; put its recipe into params.yaml first")
    parser.add_argument("ablations", nargs="*", help="ablations to run; all unless given")
    args = parser.parse_args()
    listed = recipes.ablations(args.recipe)
    model, trained, readings = listed["model"], listed["ablations"], listed.get("readings", {})
    common = listed.get("short", {})
    every = trained | readings
    if model not in params.load().models:
        parser.error(f"params.yaml has no model {model}: `make recipe RECIPE={args.recipe}` puts it there")
    unknown = [name for name in args.ablations if name not in every]
    if unknown:
        parser.error(f"{unknown[0]!r} is not an ablation: {', '.join(every)}")
    # DVC experiments take data from DVC's cache by the dvc.lock of this tree
    pipeline.run_to_split(params.load().models[model].dataset)
    out = published.FOLDER / args.recipe / published.ABLATIONS
    out.parent.mkdir(parents=True, exist_ok=True)
    wanted = args.ablations or list(every)
    for number, name in enumerate(wanted):
        changed = every[name]
        progress.say(f"ablation {number + 1} of {len(wanted)}: {name}, {changed or 'nothing changed'}")
        before = core_minutes()
        if name in readings:
            row = evaluate(dvc_experiments.commit(experiment_name("base")), model, **changed)
        else:
            dvc_experiments.run(experiment_name(name), common | changed, [f"train@{model}"])
            row = evaluate(dvc_experiments.commit(experiment_name(name)), model)
        took = core_minutes() - before
        if name in trained and took < 1:
            took = float("nan")  # nothing was trained: DVC's cache had it
        row |= {"lever": name, "changed": json.dumps(changed), "core_minutes": took}
        row["basis"] = recipes.basis(common, row["precision"], yaml.safe_load(params.PATH.read_text()))
        records.write(with_gains(add(out, row)).round(4), out)
    print(pd.read_csv(out).to_markdown(index=False))
    print(f"{out}: `python -m commands.publish {args.recipe} --page` shows it")


def core_minutes() -> float:
    """CPU minutes of this process and its ended children: wall time says less on a busy machine."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in usage) / 60


def experiment_name(ablation: str) -> str:
    """Name of an ablation's DVC experiment."""
    return "lever-" + re.sub(r"[^a-z0-9]+", "-", ablation.lower()).strip("-")


def evaluate(
    commit: str, model: str, tta_flip: bool | None = None, decode: str = "median", zoom: float | None = None
) -> dict[str, float]:
    """Validation scores of a DVC experiment's model, and of the groups where models of faces are weakest.

    tta_flip: whether to average with the mirror image; decode: the age's median or mean; zoom: scale at prediction.
    As in the experiment unless given.
    """
    from faces.training import callbacks, loop

    files = dvc.api.DVCFileSystem(rev=commit)
    about = json.loads(files.read_text(f"data/models/{model}/model.json"))
    row, settings = params.Model(**about["recipe"]["model"]), overrides.from_recipe(about["recipe"])
    if zoom is not None:
        settings = overrides.with_values(settings, {"zoom": zoom})
    network = loop.build_network(row, settings)
    with tempfile.TemporaryDirectory() as folder:
        weights, pack, split = (Path(folder) / name for name in ("model.weights.h5", "pack", "split.csv"))
        files.get(f"data/models/{model}/{weights.name}", str(weights))
        files.get(f"data/packs/{row.dataset}/{row.variant}", str(pack), recursive=True)
        files.get(f"data/splits/{row.dataset}.csv", str(split))
        network.load_weights(weights)
        val, _ = labelled_faces.select_part(records.read(split), packs.Pack(pack), "val", row.targets)
        images = np.concatenate([*labelled_faces.pixels(val, *labelled_faces.view(about["pack_size"], settings))])
    tta_flip = settings.tta_flip if tta_flip is None else tta_flip
    probabilities = callbacks.probabilities(network, images, tta_flip=tta_flip)
    decoded: dict[str, np.ndarray] = {}
    for name, p in probabilities.items():
        decoded |= targets.decode(targets.TARGETS[name], p)
        if decode == "mean" and targets.TARGETS[name].kind == "years":
            decoded[f"{name}_predicted"] = decoded[f"{name}_mean"]
    with files.open(f"data/models/{model}/history.csv") as history:
        epochs = len(pd.read_csv(history))
    trained = {"epochs": epochs, "parameters": about["parameters"], "precision": about["recipe"]["budget"]["precision"]}
    scores = selection.evaluate(list(val.labels), val.labels, decoded, about["dummy_baseline"])
    return trained | scores | weak_groups(val, decoded)


def weak_groups(faces: labelled_faces.Faces, decoded: dict[str, np.ndarray]) -> dict[str, float]:
    """Scores of the groups that a published result names, where their target and age are known."""
    scores = {}
    ages, known = faces.labels.get("age", (np.zeros(len(faces)), np.zeros(len(faces))))
    for name, score, group, inside in (
        ("sex", "accuracy", f"_below_{score_tables.YOUNG}", (ages < score_tables.YOUNG) & (known > 0)),
        ("age", "mae", f"_above_{score_tables.OLD}", (ages > score_tables.OLD) & (known > 0)),
        ("ethnicity", f"recall_{score_tables.LAST}", "", np.ones(len(faces), bool)),
    ):
        if name in faces.labels:
            target = targets.TARGETS[name]
            totals = metrics.statistics(target, *faces.labels[name], decoded)[inside].sum(axis=0)
            scores[f"{name}_{score}{group}"] = float(metrics.scores(target, totals)[score])
    return scores


def add(path: Path, row: dict) -> pd.DataFrame:
    """Rows of levers.csv with a row added, or replaced by name; one of unknown cost keeps the cost known before.

    Rows of another basis are removed.
    """
    digest = {"basis": str}  # also where it has no letter
    rows = pd.read_csv(path, dtype=digest) if path.exists() else pd.DataFrame(columns=["lever", "basis"])
    rows = rows[rows["basis"] == row["basis"]]
    old = rows[rows["lever"] == row["lever"]]
    if len(old) and row["core_minutes"] != row["core_minutes"]:
        row["core_minutes"] = float(old["core_minutes"].iloc[0])
    return pd.concat([rows[rows["lever"] != row["lever"]], pd.DataFrame([row])], ignore_index=True)


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
