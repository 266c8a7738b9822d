"""Run every fold of `split` in params.yaml as a DVC experiment, and write each score's mean and spread over them.

Prints the table, and adds it to reports/published/folds.csv, under the name of the published split's file if there is
one.
"""

import json
import statistics
from pathlib import Path

import pandas as pd

from faces import params
from faces.data import records
from faces.evaluation import predictions
from faces.runtime import dvc_experiments

OUT = Path("reports/published/folds.csv")
OURS = "folds of our own"


def main() -> None:
    """Folds that have run before cost nothing: DVC restores them from its cache."""
    p = params.load()
    total = count(p)
    for fold in range(total):
        dvc_experiments.run(name(fold, total), {"split.fold": fold})
    scores = [read(name(fold, total), list(p.models)) for fold in range(total)]
    found = table(scores, {model: protocol(row.dataset, p.split) for model, row in p.models.items()})
    if OUT.exists():
        old = pd.read_csv(OUT)
        replaced = old.set_index(["model", "protocol"]).index.isin(found.set_index(["model", "protocol"]).index)
        records.write(pd.concat([old[~replaced], found], ignore_index=True), OUT)
    else:
        records.write(found, OUT)
    print(found.to_markdown(index=False))
    print(f"{OUT}: commit it, and `make publish` shows it")


def count(p: params.Params) -> int:
    """Folds of `split`. Raises SystemExit where there is one."""
    total = max([p.split.folds, *(len(source.folds) for source in p.split.from_.values())])
    if total < 2:
        raise SystemExit("there is one fold: set split.folds, or split.from.DATASET.folds, in params.yaml")
    return total


def protocol(dataset: str, split: params.Split) -> str:
    """Name of the file that says a dataset's folds, without its folder."""
    return Path(split.from_[dataset].file).name if dataset in split.from_ else OURS


def name(fold: int, count: int) -> str:
    """Name of a fold's DVC experiment."""
    return f"fold-{fold}-of-{count}"


def read(experiment: str, models: list[str]) -> dict[str, dict[str, float]]:
    """Test scores {model: {score: value}} of a DVC experiment."""
    return {
        model: json.loads(dvc_experiments.read(experiment, predictions.FOLDER / model / "metrics.json"))["test"]
        for model in models
    }


def table(folds: list[dict[str, dict[str, float]]], protocols: dict[str, str]) -> pd.DataFrame:
    """Mean and standard deviation (n - 1) over folds of each test score: model, protocol, score, mean, sd, folds."""
    rows = []
    for model, scores in folds[0].items():
        for score in scores:
            values = [fold[model][score] for fold in folds if score in fold[model]]
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            rows.append((model, protocols[model], score, statistics.mean(values), spread, len(values)))
    return pd.DataFrame(rows, columns=["model", "protocol", "score", "mean", "sd", "folds"]).round(4)


if __name__ == "__main__":
    main()
