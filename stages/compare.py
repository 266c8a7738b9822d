"""Compare all models, and variants on the same faces: reports/models/, data/evaluated/ -> reports/comparison/."""

from pathlib import Path

import numpy as np
import pandas as pd

from faces import params, scores
from faces.data import records
from faces.evaluation import bootstrap, metrics, predictions
from faces.reporting import markdown
from faces.runtime import progress, running

# Variants that are compared with each other.
AGAINST = (("full", "cropped"), ("detected", "cropped"), ("full", "detected"))


def main() -> None:
    """Read the tables of every model of params.yaml; write models.csv, and a table for each of AGAINST."""
    p = params.load()
    out = Path("reports/comparison")
    out.mkdir(parents=True, exist_ok=True)
    score_tables = {name: pd.read_csv(f"reports/models/{name}/scores.csv", keep_default_na=False, na_values={
        column: [""] for column in ("n", "value", "low", "high")}) for name in p.models}  # fmt: skip
    table = models_table(score_tables)
    records.write(table, out / "models.csv")
    for variants in AGAINST:
        rows = []
        for names in pairs(p.models, *variants):
            predicted = [predictions.read(name) for name in names]
            rows += paired(p.models[names[0]].dataset, *names, *predicted, p.evaluate)
        if rows:
            values = [f"{variant}_value" for variant in variants]
            columns = ["dataset", *variants, "score", "n", *values, "difference", "low", "high"]
            difference = scores.table(pd.DataFrame(rows, columns=columns))
            records.write(difference, out / f"{'_against_'.join(variants)}.csv")
    count = sum(len(pairs(p.models, *variants)) for variants in AGAINST)
    progress.say(f"{len(table)} models compared, {count} pair{'s' * (count != 1)} of variants")


def models_table(score_tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a model: test faces, then each score as `value [low, high]`."""
    rows = []
    for name, table in score_tables.items():
        test = table[(table["part"] == "test") & (table["group"] == "")].set_index(["target", "score"])
        row = {"model": name, "test faces": int(test["n"].max())}
        for title, target, score in scores.headlines():
            known = (target, score) in test.index
            row[title] = markdown.interval(test.loc[(target, score)], scores.digits(score)) if known else ""
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.loc[:, (table != "").any()]


def pairs(models: dict[str, params.Model], first: str, second: str) -> list[tuple[str, str]]:
    """Names of two models that differ in their variant alone, one of each of two variants."""
    return [
        (name, other)
        for name, row in models.items()
        for other, other_row in models.items()
        if row.variant == first and other_row == row.model_copy(update={"variant": second})
    ]


def paired(
    dataset: str, name: str, other: str, first: pd.DataFrame, second: pd.DataFrame, settings: params.Evaluate
) -> list[tuple]:
    """Rows of FIRST_against_SECOND.csv: first minus second on the test faces that both have, by paired bootstrap."""
    first, second = (t.set_index("face_id") for t in (first, second))
    common = first.index.intersection(second.index)
    first, second = first.loc[common], second.loc[common]
    if len(common) < settings.min_group_size:
        return []
    rows = []
    for target in predictions.scored_targets(first, second):
        tables = [predictions.statistics(table, target) for table in (first, second)]
        one, two = (metrics.scores(target, table.sum(axis=0)) for table in tables)
        sums = bootstrap.paired_sums(*tables, first["group"].to_numpy(), settings.bootstrap_samples, settings.seed)
        limits = metrics.intervals(target, sums[0], settings.confidence, sums[1])
        for score in scores.listed("comparison", target.kind):
            values = float(one[score.name]), float(two[score.name])
            low, high = limits.get(score.name, (np.nan, np.nan))
            title = f"{target.name} {score.title}"
            rows.append((dataset, name, other, title, int(one["n"]), *values, values[0] - values[1], low, high))
    return rows


if __name__ == "__main__":
    running.stage(main)
