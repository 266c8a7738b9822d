"""The plots of one model, drawn from its tables under reports/models/ and reports/gate/."""

import json
from pathlib import Path

import pandas as pd

from faces import scores, targets
from faces.data import records
from faces.evaluation.score_tables import STEP
from faces.reporting import plots


def draw(name: str, confidence: float, out: Path) -> None:
    """Draw all plots of a model into a folder. confidence: of the age intervals."""
    tables = Path("reports/models") / name
    about = json.loads(Path(f"data/models/{name}/model.json").read_text())
    out.mkdir(parents=True, exist_ok=True)
    history = (tables / "history.csv").read_text().strip()
    history = pd.read_csv(tables / "history.csv") if history else pd.DataFrame()
    plots.save(plots.learning_curves(history, about["best_epoch"] + 1, name), out / "learning_curves.png")
    test = records.read(tables / "scores.csv").query("part == 'test'")
    if len(test):
        draw_scores(name, about["targets"], records.read(tables / "counts.csv"), test, out)
    draw_subgroups(
        name, records.read(tables / "subgroups.csv"), records.read(tables / "reliability.csv"), confidence, out
    )
    compared = pd.read_csv("reports/gate/comparisons.csv")
    compared = compared[compared["model"] == name]
    if len(compared):
        plots.save(plots.gate(compared, name), out / "gate.png")


def draw_scores(name: str, wanted: list[str], counts: pd.DataFrame, test: pd.DataFrame, folder: Path) -> None:
    """Draw the plots of each target on test, from rows of counts.csv and scores.csv."""
    for key in wanted:
        target, rows = targets.TARGETS[key], counts[counts["target"] == key]
        if target.kind == "classes":
            plots.save(plots.confusion(rows, target.classes, name, key), folder / f"{key}_confusion.png")
            continue
        rows = rows.astype({"true": int, "predicted": int})  # the file has names of classes in these columns, too
        by_bin = test[(test["target"] == key) & (test["score"] == "mae") & (test["group"] != "")]
        plots.save(plots.predicted_against_true(rows, STEP, name), folder / f"{key}_predicted_against_true.png")
        plots.save(plots.histograms(rows, STEP, name), folder / f"{key}_histogram.png")
        plots.save(plots.error_by_age(by_bin, name), folder / f"{key}_error_by_age.png")


def draw_subgroups(name: str, by_group: pd.DataFrame, sure: pd.DataFrame, confidence: float, out: Path) -> None:
    """A plot of each score by group, and a reliability diagram of each target of classes."""
    by_group = scores.select(by_group.replace({"score": {"recall": "accuracy"}}), "groups")
    for (target, score), rows in by_group.groupby(["target", "score"], sort=False):
        label, wanted = scores.axis_label(score, confidence), {"coverage": confidence, "bias": 0.0}.get(score)
        plots.save(plots.by_group(rows, f"{name}: {target}", label, wanted), out / f"{target}_{score}.png")
    for target, rows in sure[sure["by"] == ""].groupby("target", sort=False):
        plots.save(plots.reliability(rows, f"{name}: {target}"), out / f"{target}_reliability.png")
    for target, rows in sure[sure["by"] != ""].groupby("target", sort=False):
        figure = plots.reliability_by_group(rows, f"{name}: {target}")
        plots.save(figure, out / f"{target}_reliability_by_group.png")
