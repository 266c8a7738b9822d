"""Put all models of a finished run beside each other, with their size and what they took: peers.csv.

Type it where `make recipe RECIPE=peers` and `dvc repro compare` have ended. Models of one name but for `-seed-N` are
trainings of one, and also stand in a row of their mean and standard deviation. The floors, which say the same of every
face, come last.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from commands.publish import costs, pages
from faces import params, scores, targets
from faces.data import provenance, records
from faces.evaluation import metrics, predictions

FOLDER = Path("reports/published")
SEED = re.compile("-seed-[0-9]+$")


def main() -> None:
    """Write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="utkface", help="folder of reports/published to write into; utkface")
    out = FOLDER / parser.parse_args().name / "peers.csv"
    pages.finished("peers", "compare")
    p = params.load()
    if provenance.read(*one_kind(p))["kind"] == "sample":
        raise SystemExit("these faces are drawn: `make recipe RECIPE=peers SOURCE=...`, then `dvc repro compare`")
    measured = pd.read_csv("reports/comparison/models.csv", keep_default_na=False).set_index("model")
    test_scores = {name: predictions.scores(name)["test"] for name in p.models}
    rows = [about(name, row) | measured.loc[name].to_dict() for name, row in p.models.items()]
    rows += [{"model": name, **spread(found)} for name, found in several(test_scores).items()]
    rows += floors(next(iter(p.models)))
    (tested,) = {pages.tested(Path(f"data/splits/{row.dataset}.csv")) for row in p.models.values()}
    table = pd.DataFrame(rows).assign(split=tested[:8]).astype(object).fillna("")
    records.write(table, out)
    print(table.to_markdown(index=False))
    print(f"{out}: `python -m commands.publish {out.parent.name} --page` shows it")


def one_kind(p: params.Params) -> tuple[str, str]:
    """Dataset and variant that all models learn from. Raises SystemExit where they differ."""
    kinds = {(row.dataset, row.variant) for row in p.models.values()}
    if len(kinds) > 1:
        raise SystemExit(f"models of {len(kinds)} kinds of faces cannot stand in one table")
    return kinds.pop()


def about(name: str, row: params.Model) -> dict:
    """What a model is and took: network, pixels, parameters, epochs, minutes."""
    found, cost = json.loads(Path(f"data/models/{name}/model.json").read_text()), costs.of(name, row)
    return {
        "model": name,
        "network": row.options.get("architecture", row.network),
        "pixels": found["image_size"],
        "parameters": f"{found['parameters']:,}",
        "epochs": cost["epochs"],
        "minutes": cost["minutes"],
    }


def several(scores: dict[str, dict[str, float]]) -> dict[str, list[dict[str, float]]]:
    """Scores of the trainings of each model that was trained with several seeds."""
    found: dict[str, list[dict[str, float]]] = {}
    for name, row in scores.items():
        found.setdefault(SEED.sub("", name), []).append(row)
    return {f"{name}, mean (sd) of {len(rows)} seeds": rows for name, rows in found.items() if len(rows) > 1}


def spread(found: list[dict[str, float]]) -> dict[str, str]:
    """Mean and standard deviation of each headline, as `4.47 (0.03)`."""
    cells = {}
    for title, name, score in scores.headlines():
        values = [row[f"{name}_{score}"] for row in found if f"{name}_{score}" in row]
        if len(values) > 1:
            digits = scores.digits(score)
            cells[title] = f"{np.mean(values):.{digits}f} ({np.std(values, ddof=1):.{digits}f})"
    return cells


def floors(model: str) -> list[dict]:
    """Scores on test of what says the median age, or the commonest class, of the training faces of every face."""
    constant = json.loads(Path(f"data/models/{model}/model.json").read_text())["floors"]
    rows = predictions.read(model)
    cells = {}
    for title, name, score in scores.headlines():
        if name in constant:
            target = targets.TARGETS[name]
            values, known = targets.encode(target, rows[name].to_numpy())
            said = np.full(len(rows), constant[name])
            decoded = {f"{name}_predicted": said, f"{name}_mean": said, f"{name}_bin": targets.age_bin(said)}
            found = metrics.scores(target, metrics.statistics(target, values, known, decoded).sum(axis=0))
            cells[title] = f"{found[score]:.{scores.digits(score)}f}"
    return [{"model": "median age, commonest class", "test faces": len(rows), "parameters": "3", **cells}]


if __name__ == "__main__":
    main()
