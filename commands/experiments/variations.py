"""Runs of the models of params.yaml by seed and by fold: which models, with which settings, and their predictions."""

import argparse

import pandas as pd

from faces import params
from faces.evaluation import predictions
from faces.runtime import dvc_experiments


def chosen_models(parser: argparse.ArgumentParser, p: params.Params, names: list[str] | None) -> list[str]:
    """Models that are named, all unless any is; one that params.yaml lacks ends the command."""
    if unknown := [name for name in names or [] if name not in p.models]:
        parser.error(f"params.yaml has no models {', '.join(unknown)}; it has {', '.join(p.models)}")
    return names or list(p.models)


def seed_settings(p: params.Params, models: list[str], count: int, skipped: int = 0) -> dict[int, dict[str, int]]:
    """Keys of params.yaml that give models a seed, {seed: keys}: `seed`, and that of each row that has its own.

    `count` seeds, from the one after that of params.yaml, of which the first are skipped.
    """
    keys = ["seed", *(f"models.{name}.seed" for name in models if p.models[name].seed is not None)]
    first = p.seed + 1 + skipped
    return {seed: dict.fromkeys(keys, seed) for seed in range(first, first + count)}


def fold_settings(p: params.Params) -> dict[str, dict[str, int]]:
    """Keys of params.yaml of each fold of `split`, by the name of its run. Raises SystemExit where there is one."""
    count = max([p.split.folds, *(len(source.folds) for source in p.split.from_.values())])
    if count < 2:
        raise SystemExit("there is one fold: set split.folds, or split.from.DATASET.folds, in params.yaml")
    return {f"fold-{fold}-of-{count}": {"split.fold": fold} for fold in range(count)}


def read_predictions(experiment: str, model: str) -> pd.DataFrame:
    """Rows of predictions.csv, of the test faces, of a model in a DVC experiment."""
    path = predictions.FOLDER / model / "predictions.csv"
    rows = predictions.parse(dvc_experiments.read(experiment, path).encode())
    return predictions.checked(rows[rows["part"] == "test"], f"{experiment}, {model}")
