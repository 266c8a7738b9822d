"""Run every fold of `split` in params.yaml as a DVC experiment, and write mean and standard deviation of each score.

Prints the table, and adds it to reports/published/folds.csv, under the file name of the published split if there is
one.
"""

import json
import statistics
from pathlib import Path

import pandas as pd

from commands.experiments import variations
from faces import params
from faces.data import records
from faces.evaluation import predictions
from faces.reporting import published
from faces.runtime import dvc_experiments


def main() -> None:
    """Run the folds; DVC restores those that ran before from its cache."""
    p, out = params.load(), published.FOLDER / published.FOLDS
    count = variations.fold_count(p)
    names = [variations.fold_name(fold, count) for fold in range(count)]
    for fold, name in enumerate(names):
        dvc_experiments.run(name, {"split.fold": fold})
    scores = [load(name, list(p.models)) for name in names]
    rows = table(scores, {model: protocol(row.dataset, p.split) for model, row in p.models.items()})
    if out.exists():
        old = pd.read_csv(out)
        replaced = old.set_index(["model", "protocol"]).index.isin(rows.set_index(["model", "protocol"]).index)
        records.write(pd.concat([old[~replaced], rows], ignore_index=True), out)
    else:
        records.write(rows, out)
    print(rows.to_markdown(index=False))
    print(f"{out}: commit it, and `make publish` shows it")


def protocol(dataset: str, split: params.Split) -> str:
    """Name of the file that gives a dataset's folds, without its folder."""
    return Path(split.from_[dataset].file).name if dataset in split.from_ else published.OWN_FOLDS


def load(experiment: str, models: list[str]) -> dict[str, dict[str, float]]:
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
            sd = statistics.stdev(values) if len(values) > 1 else float("nan")
            rows.append((model, protocols[model], score, statistics.mean(values), sd, len(values)))
    return pd.DataFrame(rows, columns=["model", "protocol", "score", "mean", "sd", "folds"]).round(4)


if __name__ == "__main__":
    main()
