"""Run every fold of `split` in params.yaml as a DVC experiment, and write mean and standard deviation of each score.

Prints the table, and adds it to reports/published/folds.csv, under the file name of the published split if there is
one.
"""

import json
from pathlib import Path

import pandas as pd

from commands import command_line
from commands.experiments import variations
from faces import params
from faces.data import records
from faces.evaluation import predictions
from faces.reporting import published
from faces.runtime import dvc_experiments


def main() -> None:
    """Run the folds; DVC restores those that ran before from its cache."""
    command_line.parser(__doc__).parse_args()
    p, out = params.load(), published.FOLDER / published.FOLDS
    settings = variations.fold_settings(p)
    for name, keys in settings.items():
        dvc_experiments.run(name, keys)
    files = {dataset: Path(split.file).name for dataset, split in p.split.from_.items()}
    protocols = {model: files.get(row.dataset, published.OWN_FOLDS) for model, row in p.models.items()}
    rows = table([load(name, list(p.models)) for name in settings], protocols)
    if out.exists():
        old, by = pd.read_csv(out), ["model", "protocol"]
        kept = old[~old.set_index(by).index.isin(rows.set_index(by).index)]
        records.write(pd.concat([kept, rows], ignore_index=True), out)
    else:
        records.write(rows, out)
    print(rows.to_markdown(index=False), f"{out}: commit it, and `make publish` shows it", sep="\n")


def load(experiment: str, models: list[str]) -> dict[str, dict[str, float]]:
    """Test scores {model: {score: value}} of a DVC experiment."""
    return {
        model: json.loads(dvc_experiments.read(experiment, predictions.FOLDER / model / "metrics.json"))["test"]
        for model in models
    }


def table(folds: list[dict[str, dict[str, float]]], protocols: dict[str, str]) -> pd.DataFrame:
    """Mean and standard deviation (n - 1) over folds of each test score: model, protocol, score, mean, sd, folds.

    folds: as load returns them; protocols: {model: name of the file that gives its folds}.
    """
    values = pd.DataFrame(
        {"model": model, "protocol": protocols[model], "score": name, "value": value}
        for fold in folds
        for model, scores in fold.items()
        for name, value in scores.items()
    ).groupby(["model", "protocol", "score"], sort=False)["value"]
    return values.agg(mean="mean", sd="std", folds="count").reset_index().round(4)


if __name__ == "__main__":
    command_line.run(main)
