"""Run every fold of `split` in params.yaml as a DVC experiment; print each score's mean and spread over them."""

import json
import statistics

from stages.lib import params, side_runs


def main() -> None:
    """Folds that have run before cost nothing: DVC restores them from its cache."""
    p = params.load()
    count = max([p.split.folds, *(len(source.folds) for source in p.split.from_.values())])
    if count < 2:
        raise SystemExit("there is one fold: set split.folds, or split.from.DATASET.folds, in params.yaml")
    for fold in range(count):
        side_runs.run(name(fold, count), {"split.fold": fold})
    found = [read(name(fold, count), list(p.models)) for fold in range(count)]
    print("\n".join(table(found)))


def name(fold: int, count: int) -> str:
    """Name of a fold's DVC experiment."""
    return f"fold-{fold}-of-{count}"


def read(experiment: str, models: list[str]) -> dict[str, dict[str, float]]:
    """Test scores {model: {score: value}} of a DVC experiment, from its commit."""
    return {
        model: json.loads(side_runs.read(experiment, f"reports/models/{model}/metrics.json"))["test"]
        for model in models
    }


def table(folds: list[dict[str, dict[str, float]]]) -> list[str]:
    """Lines of a Markdown table: mean and standard deviation (n - 1) over folds of each test score."""
    lines = ["| model | score | mean | sd over folds | folds |", "|:--|:--|--:|--:|:--|"]
    for model, scores in folds[0].items():
        for score in scores:
            values = [fold[model][score] for fold in folds if score in fold[model]]
            each = ", ".join(f"{value:.3f}" for value in values)
            spread = f"{statistics.stdev(values):.3f}" if len(values) > 1 else ""
            lines.append(f"| {model} | {score} | {statistics.mean(values):.3f} | {spread} | {each} |")
    return lines


if __name__ == "__main__":
    main()
