"""The plots of one model, from its tables under reports/models/ and reports/gate/."""

from pathlib import Path

import pandas as pd

from faces import scores, targets
from faces.data import records
from faces.evaluation.score_tables import STEP
from faces.reporting import plots


def draw(name: str, confidence: float, out: Path) -> None:
    """Draw all plots of a model into a folder. confidence: of the age intervals."""
    tables = Path("reports/models") / name
    about = records.read_json(f"data/models/{name}/model.json")
    out.mkdir(parents=True, exist_ok=True)
    empty = not (tables / "history.csv").read_text().strip()
    history = pd.DataFrame() if empty else pd.read_csv(tables / "history.csv")
    plots.save(plots.learning_curves(history, about["best_epoch"] + 1, name), out / "learning_curves.png")
    test = records.read(tables / "scores.csv").query("part == 'test'")
    if len(test):
        draw_scores(name, about["targets"], records.read(tables / "counts.csv"), test, out)
    draw_subgroups(name, records.read(tables / "subgroups.csv"), confidence, out)
    draw_reliability(name, records.read(tables / "reliability.csv"), out)
    compared = pd.read_csv("reports/gate/comparisons.csv").query("model == @name")
    if len(compared):
        plots.save(plots.gate(compared, name), out / "gate.png")


def draw_scores(name: str, wanted: list[str], counts: pd.DataFrame, test: pd.DataFrame, out: Path) -> None:
    """Draw the plots of each target on test. counts, test: rows of counts.csv and scores.csv."""
    for key in wanted:
        target, rows = targets.TARGETS[key], counts[counts["target"] == key]
        if target.kind == "classes":
            plots.save(plots.confusion(rows, target.classes, name, key), out / f"{key}_confusion.png")
            continue
        rows = rows.astype({"true": int, "predicted": int})  # the columns also hold class names of other targets
        by_bin = test[(test["target"] == key) & (test["score"] == "mae") & (test["group"] != "")]
        plots.save(plots.predicted_against_true(rows, STEP, name), out / f"{key}_predicted_against_true.png")
        plots.save(plots.histograms(rows, STEP, name), out / f"{key}_histogram.png")
        plots.save(plots.error_by_age(by_bin, name), out / f"{key}_error_by_age.png")


def draw_subgroups(name: str, by_group: pd.DataFrame, confidence: float, out: Path) -> None:
    """Draw each score by group, from rows of subgroups.csv."""
    by_group = scores.select(by_group.replace({"score": {"recall": "accuracy"}}), "groups")
    for (target, score), rows in by_group.groupby(["target", "score"], sort=False):
        label, ideal = scores.axis_label(score, confidence), {"coverage": confidence, "bias": 0.0}.get(score)
        plots.save(plots.by_group(rows, f"{name}: {target}", label, ideal), out / f"{target}_{score}.png")


def draw_reliability(name: str, curves: pd.DataFrame, out: Path) -> None:
    """Draw the reliability diagrams of each target of classes, from rows of reliability.csv."""
    for target, rows in curves[curves["by"] == ""].groupby("target", sort=False):
        plots.save(plots.reliability(rows, f"{name}: {target}"), out / f"{target}_reliability.png")
    for target, rows in curves[curves["by"] != ""].groupby("target", sort=False):
        figure = plots.reliability_by_group(rows, f"{name}: {target}")
        plots.save(figure, out / f"{target}_reliability_by_group.png")
