"""Train one model with one thing changed at a time, and write the gain of each change on validation.

recipes/NAME.ablations.yaml lists the changes, and settings that all of them share to make trainings short. Each is a
DVC experiment that ends with `train`, so test faces are not used. Those under `readings` train nothing: they predict
with the model of `base` in other ways. It writes reports/published/NAME/levers.csv, with each gain over `base` and its
paired interval over people; what another seed changes is not in it.
"""

import json
import re
import resource
import tempfile
from pathlib import Path

import dvc.api
import numpy as np
import pandas as pd

from commands import command_line
from faces import params, targets
from faces.data import labelled_faces, packs, records
from faces.evaluation import gains, metrics, score_tables, selection
from faces.params import loading, overrides, recipes
from faces.reporting import published
from faces.runtime import dvc_experiments, pipeline, progress

GAINS = ("score", "age_mae", "sex_accuracy", "ethnicity_accuracy")  # whose gain over base is given, where measured


def main() -> None:
    """Run the named ablations, or all; DVC restores those that ran before from its cache."""
    parser = command_line.parser(__doc__)
    parser.add_argument("recipe", help="NAME of recipes/NAME.ablations.yaml; put its recipe into params.yaml first")
    parser.add_argument("ablations", nargs="*", help="ablations to run (default: all)")
    args = parser.parse_args()
    listed = recipes.ablations(args.recipe)
    model, trained, readings = listed["model"], listed["ablations"], listed.get("readings", {})
    common, every = listed.get("short", {}), trained | readings
    if model not in params.load().models:
        parser.error(f"params.yaml has no model {model}: `make recipe RECIPE={args.recipe}` puts it there")
    if unknown := [name for name in args.ablations if name not in every]:
        parser.error(f"{unknown[0]!r} is not an ablation: {', '.join(every)}")
    # DVC experiments take data from DVC's cache by the dvc.lock of this tree
    pipeline.run_to_split(params.load().models[model].dataset)
    out = published.FOLDER / args.recipe / published.ABLATIONS
    wanted = args.ablations or list(every)
    base: pd.DataFrame | None = None
    for number, name in enumerate(wanted, 1):
        changed = every[name]
        progress.say(f"ablation {number} of {len(wanted)}: {name}, {changed or 'nothing changed'}")
        before = core_minutes()
        if name in readings:
            row, faces = evaluate(dvc_experiments.commit(experiment_name("base")), model, **changed)
        else:
            dvc_experiments.run(experiment_name(name), common | changed, [f"train@{model}"])
            row, faces = evaluate(dvc_experiments.commit(experiment_name(name)), model)
        took = core_minutes() - before
        if name == "base":
            base = faces
        elif base is None and experiment_name("base") in dvc_experiments.names():
            base = evaluate(dvc_experiments.commit(experiment_name("base")), model)[1]
        if name != "base" and base is not None:
            row |= intervals(faces, base, params.load().evaluate.confidence)
        row |= {
            "lever": name,
            "changed": json.dumps(changed),
            "core_minutes": np.nan if name in trained and took < 1 else took,  # less: DVC's cache had the training
            "basis": recipes.basis(common, row["precision"], loading.parse(params.PATH.read_text())),
        }
        records.write(with_gains(add(out, row)).round(4), out)
    shown = f"{out}: `python -m commands.publish {args.recipe} --page` shows it"
    print(pd.read_csv(out).to_markdown(index=False), shown, sep="\n")


def core_minutes() -> float:
    """CPU minutes of this process and its ended children; wall time depends on what else runs."""
    usage = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in usage) / 60


def experiment_name(ablation: str) -> str:
    """Name of an ablation's DVC experiment."""
    return "ablation-" + re.sub(r"[^a-z0-9]+", "-", ablation.lower()).strip("-")


def evaluate(
    commit: str, model: str, tta_flip: bool | None = None, decode: str = "median", zoom: float | None = None
) -> tuple[dict[str, float], pd.DataFrame]:
    """Validation scores of a DVC experiment's model, and of the groups where models of faces are weakest.

    Also a row for each validation face, by face_id: its group, and selection.face_scores.
    tta_flip: whether to average with the mirror image; decode: the age's median or mean; zoom: scale at prediction. As
    in the experiment unless given.
    """
    from faces.training import callbacks, loop

    files = dvc.api.DVCFileSystem(rev=commit)
    about = json.loads(files.read_text(f"data/models/{model}/model.json"))
    row, settings = params.Model(**about["recipe"]["model"]), overrides.from_recipe(about["recipe"])
    settings = overrides.with_values(settings, {} if zoom is None else {"zoom": zoom})
    network = loop.build_network(row, settings)
    with tempfile.TemporaryDirectory() as folder:
        weights, pack, split = (Path(folder) / name for name in ("model.weights.h5", "pack", "split.csv"))
        files.get(f"data/models/{model}/{weights.name}", str(weights))
        files.get(f"data/packs/{row.dataset}/{row.variant}", str(pack), recursive=True)
        files.get(f"data/splits/{row.dataset}.csv", str(split))
        network.load_weights(weights)
        rows = records.read(split)
        val, ids = labelled_faces.select_part(rows, packs.Pack(pack), "val", row.targets)
        images = np.concatenate([*labelled_faces.pixels(val, *labelled_faces.view(about["pack_size"], settings))])
    decoded: dict[str, np.ndarray] = {}
    flip = settings.tta_flip if tta_flip is None else tta_flip
    for name, p in callbacks.probabilities(network, images, tta_flip=flip).items():
        decoded |= targets.decode(targets.TARGETS[name], p)
        if decode == "mean" and targets.TARGETS[name].kind == "years":
            decoded[f"{name}_predicted"] = decoded[f"{name}_mean"]
    compared = list(val.labels), val.labels, decoded, about["dummy_baseline"]
    faces = pd.DataFrame(selection.face_scores(*compared), index=ids)
    faces["group"] = rows.set_index("face_id").loc[ids, "group"]
    return {
        "epochs": files.read_text(f"data/models/{model}/history.csv").count("\n") - 1,  # a line each, after the header
        "parameters": about["parameters"],
        "precision": about["recipe"]["budget"]["precision"],
        **selection.evaluate(*compared),
        **weak_groups(val, decoded),
    }, faces


def intervals(faces: pd.DataFrame, base: pd.DataFrame, confidence: float) -> dict[str, float]:
    """Paired intervals of what `faces` gain over `base`, as `evaluate` returns both: SCORE_gain_low and _high.

    Empty if they are not the same validation faces.
    """
    limits: dict[str, float] = {}
    people = base["group"].to_numpy()
    for score in GAINS if faces.index.equals(base.index) else ():
        if score in faces and score in base:
            values = (selection.signed(rows[score].to_numpy(), score) for rows in (faces, base))
            gain = gains.interval(gains.paired(*values, people), confidence)
            limits |= {f"{score}_gain_{end}": gain[end] for end in ("low", "high")}
    return limits


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
    """Rows of levers.csv with a row added, or replaced by name; a row of unknown cost keeps its earlier cost.

    Rows of another basis are removed.
    """
    rows = pd.read_csv(path, dtype={"basis": str}) if path.exists() else pd.DataFrame(columns=["lever", "basis"])
    rows = rows[rows["basis"] == row["basis"]]
    old = rows[rows["lever"] == row["lever"]]
    if len(old) and row["core_minutes"] != row["core_minutes"]:
        row["core_minutes"] = float(old["core_minutes"].iloc[0])
    return pd.concat([rows[rows["lever"] != row["lever"]], pd.DataFrame([row])], ignore_index=True)


def with_gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the gain of each score over `base`, where that has run; less error is a gain."""
    rows = rows[[name for name in rows if not name.endswith("_gain")]].copy()
    base = rows[rows["lever"] == "base"]
    for name in GAINS:
        if len(base) and name in rows:
            rows[f"{name}_gain"] = selection.signed(rows[name].astype(float) - float(base[name].iloc[0]), name)
    first = [name for name in ("lever", "changed", "core_minutes", "precision", "epochs", "parameters") if name in rows]
    return rows[first + [name for name in rows if name not in (*first, "basis")] + ["basis"]]


if __name__ == "__main__":
    command_line.run(main)
