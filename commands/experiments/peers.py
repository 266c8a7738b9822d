"""Compare all models of a finished run, with their size and cost: peers.csv.

Run it after `make recipe RECIPE=peers` and `dvc repro compare`. Models whose names differ only in `-seed-N` are
trainings of one model, and have one more row, with their mean and standard deviation. The last row is a dummy baseline,
which predicts the same for every face.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from commands import command_line
from faces import params, scores
from faces.data import provenance, records
from faces.evaluation import dummy_baseline as baseline
from faces.evaluation import predictions, score_tables
from faces.reporting import published, training_cost
from faces.runtime import pipeline

SEED = re.compile("-seed-[0-9]+$")


def main() -> None:
    """Write and print the table."""
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "name", nargs="?", default="utkface", help="folder of reports/published to write into (default: %(default)s)"
    )
    out = published.FOLDER / parser.parse_args().name / published.PEERS
    pipeline.require_finished("peers", "compare")
    p = params.load()
    faces = {(row.dataset, row.variant) for row in p.models.values()}
    command_line.require(
        len(faces) == 1, f"models of {len(faces)} datasets or variants cannot be compared in one table"
    )
    dataset, variant = faces.pop()
    command_line.require(
        provenance.read(dataset, variant)["kind"] != "sample",
        "these are synthetic faces: `make recipe RECIPE=peers SOURCE=...`, then `dvc repro compare`, uses real ones",
    )
    measured = pd.read_csv("reports/comparison/models.csv", keep_default_na=False).set_index("model")
    by_seed = seed_scores({name: predictions.scores(name)["test"] for name in p.models})
    rows = [
        *(about(name, row) | measured.loc[name].to_dict() for name, row in p.models.items()),
        *({"model": name, **mean_and_sd(test_scores)} for name, test_scores in by_seed.items()),
        dummy_baseline(next(iter(p.models))),
    ]
    split = published.digest_test_faces(Path(f"data/splits/{dataset}.csv"))[:8]
    table = pd.DataFrame(rows).assign(split=split).astype(object).fillna("")
    records.write(table, out)
    print(table.to_markdown(index=False))
    print(f"{out}: `python -m commands.publish {out.parent.name} --page` shows it")


def about(name: str, row: params.Model) -> dict:
    """Network, pixels, parameters, epochs and minutes of a model."""
    model = records.read_json(f"data/models/{name}/model.json")
    cost = training_cost.training_cost(name, row)
    return {
        "model": name,
        "network": row.options.get("architecture", row.network),
        "pixels": model["image_size"],
        "parameters": f"{model['parameters']:,}",
        "epochs": cost["epochs"],
        "minutes": cost["minutes"],
    }


def seed_scores(test_scores: dict[str, dict[str, float]]) -> dict[str, list[dict[str, float]]]:
    """Scores of all trainings, by title, of each model that was trained with several seeds."""
    models: dict[str, list[dict[str, float]]] = {}
    for name, row in test_scores.items():
        models.setdefault(SEED.sub("", name), []).append(row)
    return {f"{name}, mean (sd) of {len(rows)} seeds": rows for name, rows in models.items() if len(rows) > 1}


def mean_and_sd(rows: list[dict[str, float]]) -> dict[str, str]:
    """Mean and standard deviation of each headline, as `4.47 (0.03)`."""
    cells = {}
    for title, name, score in scores.headlines():
        values = [row[f"{name}_{score}"] for row in rows if f"{name}_{score}" in row]
        if len(values) > 1:
            digits = scores.digits(score)
            cells[title] = f"{np.mean(values):.{digits}f} ({np.std(values, ddof=1):.{digits}f})"
    return cells


def dummy_baseline(model: str) -> dict:
    """Scores on test where every face is predicted the median age, or the commonest class, of a model's training."""
    constants = records.read_json(f"data/models/{model}/model.json")["dummy_baseline"]
    rows = predictions.read(model)
    values = score_tables.values(baseline.predicted(rows, constants))
    cells = {
        title: f"{values[f'{name}_{score}']:.{scores.digits(score)}f}"
        for title, name, score in scores.headlines()
        if name in constants
    }
    return {"model": "median age, commonest class", "test faces": len(rows), "parameters": "3", **cells}


if __name__ == "__main__":
    command_line.run(main)
