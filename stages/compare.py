"""Put all models in one table, and full against cropped on the same faces: reports/models/ -> reports/comparison/."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from stages.lib import metrics, params, plots, progress, records, running, targets

# What a reader looks at first of each kind of target.
HEADLINES = {
    "years": {"mae": "MAE", "rmse": "RMSE", "bin_accuracy": "5-bin accuracy"},
    "classes": {"accuracy": "accuracy"},
}

# What holds one entry a model; other stages depend on these folders whole.
MADE = ("data/tuned", "data/models", "mlruns/receipts", "reports/models")


def main() -> None:
    """Read what evaluate wrote for every model of params.yaml; write the tables and a plot."""
    p = params.load()
    for place in MADE:
        forget(Path(place), list(p.models)) if Path(place).exists() else None
    out = Path("reports/comparison")
    out.mkdir(parents=True, exist_ok=True)
    scores = {name: pd.read_csv(f"reports/models/{name}/scores.csv", keep_default_na=False, na_values={
        column: [""] for column in ("n", "value", "low", "high")}) for name in p.models}  # fmt: skip
    table = models_table(scores)
    records.write(table, out / "models.csv")
    rows = []
    for full, cropped in pairs(p.models):
        read = [
            pd.read_csv(f"reports/models/{name}/predictions.csv", dtype={"face_id": str}) for name in (full, cropped)
        ]
        rows += paired(p.models[full].dataset, full, cropped, *read, p.evaluate)
    columns = ["dataset", "full", "cropped", "score", "n", "full_value", "cropped_value", "difference", "low", "high"]
    difference = pd.DataFrame(rows, columns=columns)
    records.write(difference.round(6), out / "full_against_cropped.csv")
    if rows:
        plots.save(plots.differences(difference), out / "full_against_cropped.png")
    progress.say(f"{len(table)} models compared, {len(pairs(p.models))} pairs of full and cropped")


def forget(folder: Path, models: list[str]) -> None:
    """Remove what a folder holds of models that params.yaml no longer names, so that nobody takes it for a result."""
    for path in sorted(folder.iterdir()):
        if path.stem not in models:
            progress.say(f"{path} is removed: {path.stem} is no row of models in params.yaml")
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def models_table(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a model: test faces, then each headline as `value [low, high]`."""
    rows = []
    for name, table in scores.items():
        test = table[(table["part"] == "test") & (table["group"] == "")].set_index(["target", "score"])
        row = {"model": name, "test faces": int(test["n"].max())}
        for title, target, score in headlines():
            row[title] = cell(test.loc[(target, score)]) if (target, score) in test.index else ""
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.loc[:, (table != "").any()]


def headlines() -> list[tuple[str, str, str]]:
    """Column title, target and score of every headline, in the order of TARGETS."""
    return [
        (f"{name} {title}", name, score)
        for name, target in targets.TARGETS.items()
        for score, title in HEADLINES[target.kind].items()
    ]


def cell(row: pd.Series) -> str:
    """`4.47 [4.31, 4.63]`, or the n where it is too small for a score."""
    if row["value"] != row["value"]:
        return f"n = {int(row['n'])}, too small"
    digits = 2 if row["value"] > 1.5 else 3
    return f"{row['value']:.{digits}f} [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"


def pairs(models: dict[str, params.Model]) -> list[tuple[str, str]]:
    """Names of models (full, cropped) that differ in the variant alone."""
    found = []
    for a, first in models.items():
        for b, second in models.items():
            alike = first.model_copy(update={"variant": "cropped"}) == second
            if first.variant == "full" and second.variant == "cropped" and alike:
                found.append((a, b))
    return found


def paired(
    dataset: str, full: str, cropped: str, first: pd.DataFrame, second: pd.DataFrame, settings: params.Evaluate
) -> list[tuple]:
    """Rows of full_against_cropped.csv: full minus cropped on the test faces that both have, by paired bootstrap."""
    first, second = (t[t["part"] == "test"].set_index("face_id") for t in (first, second))
    common = first.index.intersection(second.index)
    first, second = first.loc[common], second.loc[common]
    if len(common) < settings.min_n:
        return []
    weights = metrics.bootstrap_weights(len(common), settings.resamples, settings.seed)
    tail = 100 * (1 - settings.confidence) / 2
    rows = []
    for title, name, score in headlines():
        if name not in first or name not in second:
            continue
        tables = [statistics(t, targets.TARGETS[name]) for t in (first, second)]
        values = [float(metrics.scores(targets.TARGETS[name], t.sum(axis=0))[score]) for t in tables]
        drawn = [metrics.scores(targets.TARGETS[name], weights @ t)[score] for t in tables]
        low, high = np.nanpercentile(drawn[0] - drawn[1], [tail, 100 - tail])
        n = int(first[name].notna().sum())
        rows.append((dataset, full, cropped, title, n, *values, values[0] - values[1], low, high))
    return rows


def statistics(table: pd.DataFrame, target: targets.Target) -> np.ndarray:
    """metrics.statistics of rows of predictions.csv."""
    values, known = targets.encode(target, table[target.name].to_numpy())
    predicted = table[f"{target.name}_predicted"]
    if target.kind == "years":
        bins = table[f"{target.name}_bin"].map({name: i for i, name in enumerate(targets.AGE_BINS)})
        decoded = {"predicted": predicted, "mean": table[f"{target.name}_mean"], "bin": bins}
    else:
        decoded = {"predicted": predicted.map({name: i for i, name in enumerate(target.classes)})}
    return metrics.statistics(target, values, known, {f"{target.name}_{k}": v.to_numpy() for k, v in decoded.items()})


if __name__ == "__main__":
    running.stage(main)
