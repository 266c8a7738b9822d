"""Show what leakage is worth: train the same model on a random split in which copies may stand on both sides.

The peers' way: every picture is kept with its own labels, and each goes to a part by itself. Its scores are put beside
the honest ones, and those of its test pictures that have a copy in training beside those that have none.
"""

import argparse
import io
from pathlib import Path

import pandas as pd

from faces import params, scores, targets
from faces.data import records
from faces.evaluation import metrics, predictions, score_tables
from faces.gate import baselines
from faces.runtime import dvc_experiments

NAME = "leakage"
FOLDER = Path("reports/published/leakage")


def main() -> None:
    """Run it as the DVC experiment `leakage`; print the table and write reports/published/leakage/NAME.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="models to train so; all cropped ones unless given")
    p = params.load()
    wanted = parser.parse_args().models or [name for name, row in p.models.items() if row.variant == "cropped"]
    strange = [name for name in wanted if name not in p.models]
    if strange:
        parser.error(f"{strange[0]} is no row of models in params.yaml: {', '.join(p.models)}")
    dvc_experiments.run(NAME, {"clean.copies": "all", "split.by": "face"}, [f"evaluate@{model}" for model in wanted])
    tables: dict[str, list[pd.DataFrame]] = {}
    for name, models in baselines.by_name(p).items():
        for model in [model for model in models if model in wanted]:
            tables.setdefault(name, []).append(table(model, p.models[model].dataset, p.evaluate))
    for name, found in tables.items():
        rows = scores.table(pd.concat(found, ignore_index=True))
        records.write(rows, FOLDER / f"{name}.csv")
        print(rows.to_markdown(index=False))
        print(f"{FOLDER / f'{name}.csv'}: commit it, and the report shows it")


def table(model: str, dataset: str, settings: params.Evaluate) -> pd.DataFrame:
    """Headline scores of a model on the honest and on the random split, and on two halves of the latter.

    Columns: model, faces (which), target, score, n, value, low, high.
    """
    honest = predictions.read(model)
    text = dvc_experiments.read(NAME, predictions.FOLDER / model / "predictions.csv")
    rows = predictions.parse(text.encode())
    torn = predictions.checked(rows[rows["part"] == "test"], f"{NAME}, {model}")
    split = pd.read_csv(io.StringIO(dvc_experiments.read(NAME, f"data/splits/{dataset}.csv")), dtype=str)
    trained = set(split.loc[split["part"] == "train", "group"])
    leaked = torn["group"].isin(trained).to_numpy()
    parts = {
        "honest split": honest,
        "random split": torn,
        "random split, a copy or the person in training": torn[leaked],
        "random split, neither": torn[~leaked],
    }
    return pd.concat([scored(rows, settings).assign(model=model, faces=what) for what, rows in parts.items()])[
        ["model", "faces", "target", "score", "n", "value", "low", "high"]
    ]


def scored(rows: pd.DataFrame, settings: params.Evaluate) -> pd.DataFrame:
    """Headline scores of rows of predictions.csv with intervals: target, score, n, value, low, high."""
    found = []
    for name, target in targets.TARGETS.items():
        if f"{name}_predicted" not in rows or name not in rows or not len(rows):
            continue
        found.append(score_tables.one_score(rows, target, metrics.HEADLINE[target.kind], settings))
    return pd.DataFrame(found, columns=["target", "score", "n", "value", "low", "high"])


if __name__ == "__main__":
    main()
