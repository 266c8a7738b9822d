"""Measure leakage: train models on a random split, in which copies of a photo may be in training and in test.

Every photo is kept with its own labels and assigned to a part at random, as public systems do. The table compares the
scores with those of the split by person, and test photos that have a copy in training with those that have none.
"""

import io

import pandas as pd

from commands import command_line
from commands.experiments import variations
from faces import params, scores, targets
from faces.data import records
from faces.evaluation import metrics, predictions, score_tables
from faces.gate import baselines
from faces.reporting import published
from faces.runtime import dvc_experiments

NAME = "leakage"


def main() -> None:
    """Run it as the DVC experiment `leakage`; print the table and write reports/published/leakage/NAME.csv."""
    parser = command_line.parser(__doc__)
    parser.add_argument("models", nargs="*", help="models to train (default: all of cropped photos)")
    named, p = parser.parse_args().models, params.load()
    cropped = [name for name, row in p.models.items() if row.variant == "cropped"]
    wanted = variations.chosen_models(parser, p, named or cropped)
    dvc_experiments.run(
        NAME, {"clean.deduplicate": False, "split.by": "face"}, [f"evaluate@{model}" for model in wanted]
    )
    for name, models in baselines.by_name(p).items():
        if tables := [table(model, p.models[model].dataset, p.evaluate) for model in models if model in wanted]:
            rows, out = scores.table(pd.concat(tables, ignore_index=True)), published.FOLDER / NAME / f"{name}.csv"
            records.write(rows, out)
            print(rows.to_markdown(index=False), f"{out}: commit it, and the report shows it", sep="\n")


def table(model: str, dataset: str, settings: params.Evaluate) -> pd.DataFrame:
    """Headline scores of a model on the honest and on the random split, and on two halves of the latter.

    Columns: model, faces (which), target, score, n, value, low, high.
    """
    leaky = variations.read_predictions(NAME, model)
    split = pd.read_csv(io.StringIO(dvc_experiments.read(NAME, f"data/splits/{dataset}.csv")), dtype=str)
    in_training = leaky["group"].isin(split.loc[split["part"] == "train", "group"]).to_numpy()
    parts = {
        "honest split": predictions.read(model),
        "random split": leaky,
        "random split, a copy or the person in training": leaky[in_training],
        "random split, neither": leaky[~in_training],
    }
    return pd.concat([headlines(part, settings).assign(model=model, faces=title) for title, part in parts.items()])[
        ["model", "faces", "target", "score", "n", "value", "low", "high"]
    ]


def headlines(rows: pd.DataFrame, settings: params.Evaluate) -> pd.DataFrame:
    """Headline scores of rows of predictions.csv with intervals: target, score, n, value, low, high."""
    scored = [
        score_tables.one_score(rows, target, metrics.HEADLINE[target.kind], settings)
        for name, target in targets.TARGETS.items()
        if f"{name}_predicted" in rows and name in rows and len(rows)
    ]
    return pd.DataFrame(scored, columns=["target", "score", "n", "value", "low", "high"])


if __name__ == "__main__":
    command_line.run(main)
