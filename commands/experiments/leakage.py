"""Measure leakage: train the same model on a random split in which copies may be on both sides.

Every photo is kept with its own labels and assigned to a part on its own, as public systems do. The table compares the
scores with those of the honest split, and test photos that have a copy in training with those that have none.
"""

import argparse
import io

import pandas as pd

from faces import params, scores, targets
from faces.data import records
from faces.evaluation import metrics, predictions, score_tables
from faces.gate import baselines
from faces.reporting import published
from faces.runtime import dvc_experiments

NAME = "leakage"


def main() -> None:
    """Run it as the DVC experiment `leakage`; print the table and write reports/published/leakage/NAME.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="models to train; all cropped ones unless given")
    p = params.load()
    wanted = parser.parse_args().models or [name for name, row in p.models.items() if row.variant == "cropped"]
    unknown = [name for name in wanted if name not in p.models]
    if unknown:
        parser.error(f"{unknown[0]} is not a row of models in params.yaml: {', '.join(p.models)}")
    dvc_experiments.run(
        NAME, {"clean.deduplicate": False, "split.by": "face"}, [f"evaluate@{model}" for model in wanted]
    )
    for name, models in baselines.by_name(p).items():
        tables = [table(model, p.models[model].dataset, p.evaluate) for model in models if model in wanted]
        if not tables:
            continue
        rows = scores.table(pd.concat(tables, ignore_index=True))
        out = published.FOLDER / NAME / f"{name}.csv"
        records.write(rows, out)
        print(rows.to_markdown(index=False))
        print(f"{out}: commit it, and the report shows it")


def table(model: str, dataset: str, settings: params.Evaluate) -> pd.DataFrame:
    """Headline scores of a model on the honest and on the random split, and on two halves of the latter.

    Columns: model, faces (which), target, score, n, value, low, high.
    """
    text = dvc_experiments.read(NAME, predictions.FOLDER / model / "predictions.csv")
    rows = predictions.parse(text.encode())
    leaky = predictions.checked(rows[rows["part"] == "test"], f"{NAME}, {model}")
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
    main()
