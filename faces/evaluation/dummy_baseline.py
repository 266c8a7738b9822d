"""The dummy baseline: each face is predicted the median age, or the commonest class, of the training faces.

A model that is not better than it on a target has learned nothing of that target, and no decision may rest on it.
"""

import pandas as pd

from faces import params, scores, targets
from faces.evaluation import metrics, predictions, score_tables

KEY = "dummy_baseline"  # in summary.json of evaluate, and of a model's metadata
NO_BETTER = "no better than the dummy baseline"


def predicted(rows: pd.DataFrame, constants: dict[str, float]) -> pd.DataFrame:
    """Rows of predictions.csv with the dummy baseline's predictions. constants: {target: of dummy_prediction}."""
    columns: dict[str, object] = {}
    for target in predictions.scored_targets(rows):
        name, constant = target.name, constants[target.name]
        if target.kind == "years":
            columns |= {f"{name}_predicted": constant, f"{name}_mean": constant}
            columns[f"{name}_bin"] = targets.AGE_BINS[int(targets.age_bin([constant])[0])]
        else:
            columns[f"{name}_predicted"] = target.classes[int(constant)]
    return rows[[name for name in ("face_id", "group", "part", *targets.TARGETS) if name in rows]].assign(**columns)


def comparison(rows: pd.DataFrame, constants: dict[str, float], settings: params.Evaluate) -> dict[str, dict]:
    """The headline score of each target beside the dummy baseline's on the same faces, rows of predictions.csv.

    Returns {target: {score, n, value, dummy_baseline, difference, low, high, better}}: the difference less the dummy
    baseline's score, with its paired bootstrap interval over people; better: whether all of it is on the better side.
    """
    table = score_tables.paired_scores(rows, predicted(rows, constants), "metrics", settings)
    compared = {}
    for row in table.rename(columns={"first": "value", "second": KEY}).to_dict("records"):
        name, score = row.pop("target"), row["score"]
        if f"{name}_{score}" == metrics.headline(name):
            better = row["low"] > 0 if metrics.higher_is_better(score) else row["high"] < 0
            rounded = {key: scores.number(row[key], score) for key in ("value", KEY, "difference", "low", "high")}
            compared[name] = {"score": score, "n": row["n"], **rounded, "better": bool(better)}
    return compared


def useless(summary: dict) -> list[str]:
    """Targets on which a model is not better than the dummy baseline; summary: of evaluate."""
    return [name for name, row in summary[KEY].items() if not row["better"]]
