"""Pictures of results, with Matplotlib; each function draws one figure and returns it."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from stages.lib.targets import AGE_BINS

SIZE = (5.2, 3.8)  # inches
DPI = 90
BLUE, ORANGE, GREY = "#2b6ca3", "#d9822b", "#8a8f98"


def save(figure: Figure, path: str) -> None:
    """Write a figure as PNG and free it."""
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)


def _axes(title: str, x: str, y: str) -> tuple[Figure, plt.Axes]:
    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def predicted_against_true(true: np.ndarray, predicted: np.ndarray, what: str) -> Figure:
    """Scatter of ages in years."""
    figure, axes = _axes(f"{what}: age, {len(true)} test faces", "true age (years)", "predicted age (years)")
    top = max(100.0, float(max(true.max(initial=0), predicted.max(initial=0))))
    axes.plot([0, top], [0, top], color=GREY, linewidth=1)
    axes.scatter(true, predicted, s=9, alpha=0.5, color=BLUE, edgecolors="none")
    return figure


def histograms(true: np.ndarray, predicted: np.ndarray, what: str) -> Figure:
    """Counts of true and predicted ages by five years."""
    figure, axes = _axes(f"{what}: distribution of age, test", "age (years)", "faces")
    edges = np.arange(0, 126, 5)
    axes.hist(true, edges, color=GREY, alpha=0.6, label="true")
    axes.hist(predicted, edges, histtype="step", color=BLUE, linewidth=1.8, label="predicted")
    axes.legend(frameon=False)
    return figure


def error_by_age(scores: pd.DataFrame, what: str) -> Figure:
    """MAE by age bin with intervals; rows of scores.csv of one part, a bin each."""
    figure, axes = _axes(f"{what}: error by age, test", "true age (years)", "MAE (years)")
    rows = scores.set_index("group").reindex(AGE_BINS)
    at = np.arange(len(rows))
    axes.bar(at, rows["value"].fillna(0), color=BLUE, width=0.6)
    spread = np.abs(rows[["low", "high"]].to_numpy(float).T - rows["value"].to_numpy(float))
    axes.errorbar(at, rows["value"], np.nan_to_num(spread), fmt="none", color="black", capsize=3)
    labels = [f"{name}\nn={int(n)}" if n == n else f"{name}\nn=0" for name, n in rows["n"].items()]
    axes.set_xticks(at, labels)
    for i, (value, n) in enumerate(zip(rows["value"], rows["n"], strict=True)):
        if value != value and n == n:
            axes.text(i, 0.2, "n too\nsmall", ha="center", color=GREY)
    if rows["value"].isna().all():
        axes.set(ylim=(0, 1), yticks=[])
    return figure


def confusion(table: np.ndarray, classes: tuple[str, ...], what: str, name: str) -> Figure:
    """Confusion matrix (true, predicted): counts, coloured by share of the true class."""
    figure, axes = _axes(f"{what}: {name}, test", "predicted", "true")
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    for i, j in np.ndindex(table.shape):
        axes.text(j, i, int(table[i, j]), ha="center", va="center", color="white" if share[i, j] > 0.5 else "black")
    return figure


def learning_curves(history: pd.DataFrame, best_epoch: int, what: str) -> Figure:
    """Training loss and validation score by epoch."""
    figure, axes = _axes(f"{what}: learning curves", "epoch", "training loss")
    if len(history):
        axes.plot(history["epoch"] + 1, history["loss"], color=GREY, label="training loss")
        right = axes.twinx()
        right.spines["top"].set_visible(False)
        right.plot(history["epoch"] + 1, history["val_score"], color=BLUE, label="validation score")
        right.set_ylabel("validation score")
        right.axvline(best_epoch + 1, color=ORANGE, linewidth=1, label="kept")
        lines = [*axes.get_lines(), *right.get_lines()]
        labels = [str(line.get_label()) for line in lines]
        figure.legend(lines, labels, frameon=False, loc="outside lower center", ncols=3)
    return figure


def differences(rows: pd.DataFrame) -> Figure:
    """Full minus cropped with intervals, one panel a score; rows of full_against_cropped.csv."""
    names = list(dict.fromkeys(rows["score"]))
    figure, all_axes = plt.subplots(
        1, max(1, len(names)), figsize=(2.6 * max(1, len(names)), 3.4), layout="constrained"
    )
    for axes, name in zip(np.atleast_1d(all_axes), names, strict=False):
        part = rows[rows["score"] == name].reset_index(drop=True)
        axes.axhline(0, color=GREY, linewidth=1)
        for i, row in part.iterrows():
            axes.errorbar(
                i, row["difference"], [[row["difference"] - row["low"]], [row["high"] - row["difference"]]],
                fmt="o", color=BLUE, capsize=4,
            )  # fmt: skip
        axes.set_xticks(range(len(part)), part["dataset"])
        axes.set_xlim(-0.6, len(part) - 0.4)
        axes.set_title(name)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("full minus cropped, same test faces")
    return figure
