"""Train one model with one thing changed at a time, and write what each change gives on validation.

recipes/NAME.levers.yaml lists the changes; each is a DVC experiment that stops at `train`, so that test is not looked
at. Its `readings` read the model of `base` in other ways, and train nothing. Writes reports/published/NAME/levers.csv,
with the gain of each over `base`.
"""

import argparse
import io
import json
import re
import tempfile
import time
from pathlib import Path

import dvc.api
import numpy as np
import pandas as pd
import yaml

from stages.lib import metrics, params, progress, records, side_runs, targets

FOLDER = Path("recipes")


def main() -> None:
    """Run the levers that are named, or all; those that ran before cost nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="NAME of recipes/NAME.levers.yaml; put its recipe into params.yaml first")
    parser.add_argument("levers", nargs="*", help="levers to run; all unless given")
    words = parser.parse_args()
    listed = yaml.safe_load((FOLDER / f"{words.recipe}.levers.yaml").read_text())
    model, levers, readings = listed["model"], listed["levers"], listed.get("readings", {})
    known = [*levers, *readings]
    if model not in params.load().models:
        parser.error(f"params.yaml has no model {model}: `make recipe RECIPE={words.recipe}` puts it there")
    strange = [name for name in words.levers if name not in known]
    if strange:
        parser.error(f"{strange[0]!r} is not a lever: {', '.join(known)}")
    out = Path("reports/published") / words.recipe / "levers.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    wanted = words.levers or known
    for number, name in enumerate(wanted):
        changed = levers.get(name, readings.get(name))
        progress.say(f"lever {number + 1} of {len(wanted)}: {name}, {changed or 'nothing changed'}")
        started = time.monotonic()
        if name in readings:
            found = reread(side_runs.commit(experiment_of("base")), model, **changed)
        else:
            side_runs.run(experiment_of(name), changed, [f"train@{model}"])
            found = read(side_runs.commit(experiment_of(name)), model)
        found |= {"lever": name, "changed": json.dumps(changed), "minutes": (time.monotonic() - started) / 60}
        records.write(with_gains(add(out, found)).round(4), out)
    print(pd.read_csv(out).to_markdown(index=False))


def experiment_of(lever: str) -> str:
    """Name of a lever's DVC experiment."""
    return "lever-" + re.sub(r"[^a-z0-9]+", "-", lever.lower()).strip("-")


def reread(commit: str, model: str, views: int = 2, decode: str = "median") -> dict[str, float]:
    """Validation scores of a DVC experiment's model, read in another way: views 1 or 2; the age's median or mean."""
    from stages.lib import faces, training

    p = params.load().for_model(model)
    pack, split = faces.open_pack(p.models[model])
    val, _ = faces.of(split, pack, "val", p.models[model].targets)
    about = json.loads(dvc.api.read(f"data/models/{model}/model.json", rev=commit))
    network = training.network(p.models[model], p.train)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.weights.h5"
        weights.write_bytes(dvc.api.read(f"data/models/{model}/model.weights.h5", rev=commit, mode="rb"))
        network.load_weights(weights)
    images = np.concatenate([*faces.pixels(val, *faces.view(pack.manifest["size"], p.train))])
    said, decoded = training.probabilities(network, images, views), {}
    for name, probabilities in said.items():
        decoded |= targets.decode(targets.TARGETS[name], probabilities)
        if decode == "mean" and targets.TARGETS[name].kind == "years":
            decoded[f"{name}_predicted"] = decoded[f"{name}_mean"]
    scores = metrics.evaluate(list(val.labels), val.labels, decoded, about["floors"])
    return scores | {"epochs": 0, "parameters": about["parameters"]}


def read(commit: str, model: str) -> dict[str, float]:
    """Validation scores of the best epoch of a DVC experiment's model, and how many epochs it trained."""
    history = pd.read_csv(io.StringIO(dvc.api.read(f"data/models/{model}/history.csv", rev=commit)))
    about = json.loads(dvc.api.read(f"data/models/{model}/model.json", rev=commit))
    best = history.loc[about["best_epoch"]]
    scores = {name.removeprefix("val_"): float(best[name]) for name in history if name.startswith("val_")}
    return scores | {"epochs": len(history), "parameters": about["parameters"]}


def add(path: Path, found: dict) -> pd.DataFrame:
    """Rows of levers.csv with one more, in the place of one of its name; its minutes stay where it cost nothing now."""
    rows = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["lever"])
    old = rows[rows["lever"] == found["lever"]]
    if len(old) and found["minutes"] < 1:
        found["minutes"] = float(old["minutes"].iloc[0])
    return pd.concat([rows[rows["lever"] != found["lever"]], pd.DataFrame([found])], ignore_index=True)


def with_gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the gain of each score over `base`, where that has run; less error is a gain."""
    rows = rows[[name for name in rows if not name.endswith("_gain")]].copy()
    base = rows[rows["lever"] == "base"]
    for name in ("score", "age_mae", "sex_accuracy", "ethnicity_accuracy"):
        if len(base) and name in rows:
            sign = -1 if name == "age_mae" else 1
            rows[f"{name}_gain"] = sign * (rows[name].astype(float) - float(base[name].iloc[0]))
    first = [name for name in ("lever", "changed", "minutes", "epochs", "parameters") if name in rows]
    return rows[first + [name for name in rows if name not in first]]


if __name__ == "__main__":
    main()
