"""Plots of results, with Matplotlib.

draw_model writes all plots of a model. Each of the other public functions draws one figure from a committed table, and
returns it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faces import scores
from faces.data import records
from faces.evaluation.score_tables import STEP, pair_names
from faces.targets import AGE_BINS, TARGETS

SIZE = (5.2, 3.8)  # inches
DPI = 90
BLUE, ORANGE, GRAY, RED, GREEN = "#2b6ca3", "#d9822b", "#8a8f98", "#b83232", "#3a8f4d"


def draw_model(name: str, confidence: float, out: Path) -> None:
    """Draw all plots of a model into a folder. confidence: of the age intervals."""
    tables = Path("reports/models") / name
    about = records.read_json(f"data/models/{name}/model.json")
    out.mkdir(parents=True, exist_ok=True)
    empty = not (tables / "history.csv").read_text().strip()
    history = pd.DataFrame() if empty else pd.read_csv(tables / "history.csv")
    save(learning_curves(history, about["best_epoch"] + 1, name), out / "learning_curves.png")
    test = records.read(tables / "scores.csv").query("part == 'test'")
    if len(test):
        draw_scores(name, about["targets"], records.read(tables / "counts.csv"), test, out)
    draw_subgroups(name, records.read(tables / "subgroups.csv"), confidence, out)
    draw_reliability(name, records.read(tables / "reliability.csv"), out)
    compared = pd.read_csv("reports/gate/comparisons.csv").query("model == @name")
    if len(compared):
        save(gate(compared, name), out / "gate.png")


def draw_scores(name: str, wanted: list[str], counts: pd.DataFrame, test: pd.DataFrame, out: Path) -> None:
    """Draw the plots of each target on test. counts, test: rows of counts.csv and scores.csv."""
    for key in wanted:
        target, rows = TARGETS[key], counts[counts["target"] == key]
        if target.kind == "classes":
            save(confusion(rows, target.classes, name, key), out / f"{key}_confusion.png")
            continue
        rows = rows.astype({"true": int, "predicted": int})  # the columns also hold class names of other targets
        by_bin = test[(test["target"] == key) & (test["score"] == "mae") & (test["group"] != "")]
        save(predicted_against_true(rows, STEP, name), out / f"{key}_predicted_against_true.png")
        save(histograms(rows, STEP, name), out / f"{key}_histogram.png")
        save(error_by_age(by_bin, name), out / f"{key}_error_by_age.png")


def draw_subgroups(name: str, groups: pd.DataFrame, confidence: float, out: Path) -> None:
    """Draw each score by group, from rows of subgroups.csv."""
    groups = scores.select(groups.replace({"score": {"recall": "accuracy"}}), "groups")
    for (target, score), rows in groups.groupby(["target", "score"], sort=False):
        label, ideal = scores.axis_label(score, confidence), {"coverage": confidence, "bias": 0.0}.get(score)
        save(by_group(rows, f"{name}: {target}", label, ideal), out / f"{target}_{score}.png")


def draw_reliability(name: str, curves: pd.DataFrame, out: Path) -> None:
    """Draw the reliability diagrams of each target of classes, from rows of reliability.csv."""
    for target, rows in curves[curves["by"] == ""].groupby("target", sort=False):
        save(reliability(rows, f"{name}: {target}"), out / f"{target}_reliability.png")
    for target, rows in curves[curves["by"] != ""].groupby("target", sort=False):
        figure = reliability_by_group(rows, f"{name}: {target}")
        save(figure, out / f"{target}_reliability_by_group.png")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, dpi=DPI, metadata={"Software": None})


def _panels(
    size: tuple[float, float], down: int = 1, across: int = 1, sharex: bool = False, sharey: bool = False
) -> tuple[Figure, np.ndarray]:
    """A figure of a size in inches, and its axes (down, across), without a line at the top and at the right."""
    figure = Figure(size, layout="constrained")
    panels = figure.subplots(down, across, sharex=sharex, sharey=sharey, squeeze=False)
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure, panels = _panels(SIZE)
    axes = panels[0, 0]
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.25)
    return figure, axes


def _square(counts: pd.DataFrame, names: Sequence | np.ndarray) -> np.ndarray:
    """Counts (true, predicted) of rows of counts.csv of one target, in the order of names."""
    table = counts.pivot(index="true", columns="predicted", values="n").reindex(index=names, columns=names)
    return table.fillna(0).to_numpy(float)


def _half_widths(rows: pd.DataFrame) -> np.ndarray:
    """How far intervals reach (2, n) below and above their values; 0 where there is none."""
    return np.nan_to_num(np.abs(rows[["low", "high"]].to_numpy(float).T - rows["value"].to_numpy(float)))


def predicted_against_true(counts: pd.DataFrame, step: int, what: str) -> Figure:
    """Heat map of ages; rows of counts.csv of a target in years, by `step` years."""
    top = int(max(100 - step, counts["true"].max(), counts["predicted"].max())) + step if len(counts) else 100
    table = _square(counts, range(0, top, step))
    title = f"{what}: age, {table.sum():.0f} test faces by {step} years"
    figure, axes = _axes(title, "true age (years)", "predicted age (years)")
    shown = np.ma.masked_equal(table.T, 0)
    image = axes.imshow(shown, cmap="Blues", vmin=0, origin="lower", extent=(0, top, 0, top), aspect="auto")
    axes.plot([0, top], [0, top], color=ORANGE, linewidth=1)
    figure.colorbar(image, label="faces")
    return figure


def histograms(counts: pd.DataFrame, step: int, what: str) -> Figure:
    """Histograms of true and predicted ages; rows of counts.csv of a target in years, by `step` years."""
    figure, axes = _axes(f"{what}: distribution of age, test", "age (years)", "faces")
    edges = np.arange(0, 126, step)
    table = _square(counts, edges[:-1])
    axes.stairs(table.sum(axis=1), edges, fill=True, color=GRAY, alpha=0.6, label="true")
    axes.stairs(table.sum(axis=0), edges, color=BLUE, linewidth=1.8, label="predicted")
    axes.legend(frameon=False)
    return figure


def error_by_age(by_bin: pd.DataFrame, what: str) -> Figure:
    """MAE by age bin with intervals; rows of scores.csv of one part, one a bin."""
    figure, axes = _axes(f"{what}: error by age, test", "true age (years)", "MAE (years)")
    rows = by_bin.set_index("group").reindex(AGE_BINS)
    at = np.arange(len(rows))
    axes.bar(at, rows["value"].fillna(0), color=BLUE, width=0.6)
    axes.errorbar(at, rows["value"], _half_widths(rows), fmt="none", color="black", capsize=3)
    labels = [f"{name}\nn={int(n)}" if n == n else f"{name}\nn=0" for name, n in rows["n"].items()]
    axes.set_xticks(at, labels)
    for i in np.flatnonzero(rows["value"].isna() & rows["n"].notna()).tolist():
        axes.text(i, 0.2, "n too\nsmall", ha="center", color=GRAY)
    if rows["value"].isna().all():
        axes.set(ylim=(0, 1), yticks=[])
    return figure


def confusion(counts: pd.DataFrame, classes: tuple[str, ...], what: str, name: str) -> Figure:
    """Confusion matrix (true, predicted): counts, coloured by share of the true class; rows of counts.csv."""
    table = _square(counts, classes)
    figure, axes = _axes(f"{what}: {name}, test", "predicted", "true")
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    ticks = range(len(classes))
    axes.set(xticks=ticks, yticks=ticks, xticklabels=classes, yticklabels=classes)
    for i, j in np.ndindex(table.shape):
        axes.text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", color="white" if share[i, j] > 0.5 else "black")
    return figure


def learning_curves(history: pd.DataFrame, kept: int, what: str) -> Figure:
    """Training loss and validation score by epoch, and the epoch whose weights are kept; rows of history.csv."""
    figure, axes = _axes(f"{what}: learning curves", "epoch", "training loss")
    if len(history):
        axes.plot(history["epoch"], history["loss"], color=GRAY, label="training loss")
        right = axes.twinx()
        right.spines["top"].set_visible(False)
        right.plot(history["epoch"], history["val_score"], color=BLUE, label="validation score")
        right.set_ylabel("validation score")
        right.axvline(kept, color=ORANGE, linewidth=1, label="kept")
        figure.legend(frameon=False, loc="outside lower center", ncols=3)
    return figure


def differences(rows: pd.DataFrame, first: str, second: str) -> Figure:
    """One model minus another with intervals, one panel a score; rows of FIRST_against_SECOND.csv."""
    rows = rows.assign(pair=pair_names(rows, first))
    by_score = rows.rename(columns={"difference": "value"}).groupby("score", sort=False)
    many = rows["pair"].nunique() > 2
    figure, panels = _panels((2.6 * len(by_score), 4.4 if many else 3.4), across=len(by_score))
    for axes, (name, part) in zip(panels[0], by_score, strict=True):
        axes.axhline(0, color=GRAY, linewidth=1)
        axes.errorbar(range(len(part)), part["value"], _half_widths(part), fmt="o", color=BLUE, capsize=4)
        axes.set_xticks(range(len(part)), part["pair"])
        if many:
            axes.tick_params("x", rotation=90)
        axes.set(title=name, xlim=(-0.6, len(part) - 0.4))
    figure.suptitle(f"{first} minus {second}, same test faces")
    return figure


def by_group(rows: pd.DataFrame, what: str, score: str, ideal: float | None = None) -> Figure:
    """A score of all faces and of single groups with intervals and n; rows of subgroups.csv of one target and score.

    ideal: value of the score that a line marks; None: the value over all faces.
    """
    single = rows[~rows["by"].str.contains(" x ")].reset_index(drop=True)
    figure, panels = _panels((5.6, 0.9 + 0.28 * len(single)))
    axes = panels[0, 0]
    axes.set(title=f"{what}, test", xlabel=score, ylim=(len(single) - 0.5, -0.5))
    axes.grid(alpha=0.25, axis="x")
    line = single["value"].iloc[0] if ideal is None else ideal
    if line == line:
        axes.axvline(line, color=ORANGE, linewidth=1)
    axes.errorbar(single["value"], np.arange(len(single)), xerr=_half_widths(single), fmt="o", color=BLUE, capsize=3)
    axes.set_yticks(range(len(single)), [f"{g}  (n={n})" for g, n in zip(single["group"], single["n"], strict=True)])
    for i in np.flatnonzero(single["value"].isna()).tolist():
        axes.text(0.02, i, "n too small", color=GRAY, va="center", transform=axes.get_yaxis_transform())
    return figure


def reliability(rows: pd.DataFrame, what: str) -> Figure:
    """Accuracy by confidence, with numbers of faces; rows of reliability.csv of one target and group."""
    title = f"{what}, test: calibration error {rows['error'].iloc[0]:.3f}"
    figure, axes = _axes(title, "probability of the predicted class", "accuracy")
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1)
    known = rows[rows["n"] > 0]
    axes.plot(known["confidence"], known["accuracy"], "o-", color=BLUE)
    for x, y, n in zip(known["confidence"], known["accuracy"], known["n"], strict=True):
        axes.annotate(f"{n}", (x, y), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=7, color=GRAY)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.08))
    return figure


def reliability_by_group(rows: pd.DataFrame, what: str) -> Figure:
    """A small reliability diagram of each group; rows of reliability.csv of one target, without all faces."""
    groups = rows[rows["n"] > 0].groupby("group", sort=False)
    across = 4
    down = -(-len(groups) // across)
    figure, panels = _panels((2.1 * across, 2.2 * down), down, across, sharex=True, sharey=True)
    for axes in panels.flat[len(groups) :]:
        axes.set_axis_off()
    for axes, (name, part) in zip(panels.flat, groups, strict=False):
        axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1)
        axes.plot(part["confidence"], part["accuracy"], color=BLUE, linewidth=1)
        axes.scatter(part["confidence"], part["accuracy"], s=200 * part["n"] / part["n"].sum(), color=BLUE, alpha=0.6)
        axes.set_title(f"{name}, n={part['n'].sum()}\nerror {part['error'].iloc[0]:.3f}", fontsize=8)
        axes.set(xlim=(0, 1.05), ylim=(0, 1.05))
    figure.suptitle(f"{what}, test: accuracy by probability of the predicted class", fontsize=10)
    return figure


def gate(rows: pd.DataFrame, what: str) -> Figure:
    """Differences from the baseline with intervals and tolerances; rows of paired.compare of one model.

    One panel a target; all faces, single groups, and crossings that regressed. To the right is worse.
    """
    shown = rows[~rows["slice"].str.contains(", ") | (rows["verdict"] == "regressed")]
    by_target = shown.groupby("target", sort=False)
    labels = list(dict.fromkeys(shown["slice"]))
    colours = {"regressed": RED, "improved": GREEN, "unchanged": BLUE, "inconclusive": GRAY}
    size = 2.2 + 2.6 * len(by_target), 1.3 + 0.27 * len(labels)
    figure, panels = _panels(size, across=len(by_target), sharey=True)
    for axes, (name, part) in zip(panels[0], by_target, strict=True):
        unit = "years" if TARGETS[name].kind == "years" else "share of faces wrong"
        axes.axvline(0, color=GRAY, linewidth=1)
        for row in part.to_dict("records"):
            at, colour = labels.index(row["slice"]), colours[row["verdict"]]
            axes.plot([-row["tolerance"], row["tolerance"]], [at, at], color=ORANGE, alpha=0.35, linewidth=6)
            axes.plot([row["low"], row["high"]], [at, at], color=colour)
            axes.plot(row["difference"], at, "o", color=colour, markersize=5)
        axes.set(title=name, xlabel=unit, ylim=(len(labels) - 0.5, -0.5))
        axes.grid(alpha=0.25, axis="x")
    n = shown.groupby("slice")["n"].max()
    panels[0, 0].set_yticks(range(len(labels)), [f"{label}  (n={n[label]})" for label in labels])
    figure.suptitle(f"{what}: now minus baseline (right: worse), tolerances in orange")
    return figure
