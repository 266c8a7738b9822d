"""Train one model with one thing changed at a time, and write what each change gives on validation.

recipes/NAME.levers.yaml lists the changes; each is a DVC experiment that stops at `train`, so that test is not looked
at. Writes reports/published/NAME/levers.csv, with the gain of each over `base`.
"""

import argparse
import io
import json
import re
import time
from pathlib import Path

import dvc.api
import pandas as pd
import yaml

from stages.lib import params, progress, records, side_runs

FOLDER = Path("recipes")


def main() -> None:
    """Run the levers that are named, or all; those that ran before cost nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="NAME of recipes/NAME.levers.yaml; put its recipe into params.yaml first")
    parser.add_argument("levers", nargs="*", help="levers to run; all unless given")
    words = parser.parse_args()
    listed = yaml.safe_load((FOLDER / f"{words.recipe}.levers.yaml").read_text())
    model, levers = listed["model"], listed["levers"]
    if model not in params.load().models:
        parser.error(f"params.yaml has no model {model}: `make recipe RECIPE={words.recipe}` puts it there")
    strange = [name for name in words.levers if name not in levers]
    if strange:
        parser.error(f"{strange[0]!r} is not a lever: {', '.join(levers)}")
    out = Path("reports/published") / words.recipe / "levers.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(words.levers or levers):
        progress.say(
            f"lever {number + 1} of {len(words.levers or levers)}: {name}, {levers[name] or 'nothing changed'}"
        )
        started = time.monotonic()
        experiment = "lever-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        side_runs.run(experiment, levers[name], [f"train@{model}"])
        found = read(side_runs.commit(experiment), model)
        found |= {"lever": name, "changed": json.dumps(levers[name]), "minutes": (time.monotonic() - started) / 60}
        records.write(with_gains(add(out, found)).round(4), out)
    print(pd.read_csv(out).to_markdown(index=False))


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
