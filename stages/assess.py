"""Say for whom a model works, and whether its doubts can be believed: data/evaluated/M/ -> reports/groups/M/."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from faces import params, scores, targets
from faces.data import records
from faces.evaluation import predictions, reliability, subgroups
from faces.reporting import plots
from faces.runtime import progress, running


def main(name: str) -> None:
    """Write groups.csv, gaps.csv, reliability.csv, summary.json and plots of the test faces."""
    p = params.load()
    settings = p.evaluate
    out = Path("reports/groups") / name
    out.mkdir(parents=True, exist_ok=True)
    test = predictions.read(name)
    sums = subgroups.Sums(test, settings.resamples, settings.seed)
    by_group = subgroups.scores(sums, settings.min_n, settings.confidence)
    of_group = (by_group["score"] == "width") & (by_group["by"] != "")
    by_group = scores.table(by_group, by_group["score"].mask(of_group, "group_width"))
    gaps = scores.table(subgroups.gaps(sums, settings.min_n, settings.confidence))
    sure = scores.table(curves(test, settings.min_n))
    records.write(by_group, out / "groups.csv")
    records.write(gaps, out / "gaps.csv")
    records.write(sure, out / "reliability.csv")
    found = summary(by_group, sure, p.calibrate.confidence)
    (out / "summary.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(name, by_group, sure, p.calibrate.confidence, out)
    worst = [f"{t} {w['score']} {w['value']} of {w['group']} (n {w['n']})" for t, w in found["worst"].items()]
    progress.say(f"{name}, worst groups: {'; '.join(worst)}")


def curves(test: pd.DataFrame, min_n: int) -> pd.DataFrame:
    """Rows of reliability.curve for each target of classes, over all faces and each group of min_n or more.

    Columns: target, by, group, then those of reliability.curve, then error, the group's expected calibration error.
    """
    found = []
    cell, cells = subgroups.cells_of(test)
    every = [("", subgroups.ALL, np.ones(len(test), bool))]
    for by, named in subgroups.axes(cells).items():
        every += [(by, group, inside[cell]) for group, inside in named.items()]
    for name, target in targets.TARGETS.items():
        if target.kind != "classes" or f"{name}_predicted" not in test or name not in test:
            continue
        known, sure, right = reliability.sureness(test, target)
        for by, group, inside in every:
            at = inside & known
            if at.sum() < min_n:
                continue
            curve = reliability.curve(sure[at], right[at])
            found.append(curve.assign(target=name, by=by, group=group, error=reliability.expected_error(curve)))
    columns = ["target", "by", "group", "low", "high", "n", "confidence", "accuracy", "error"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def summary(by_group: pd.DataFrame, sure: pd.DataFrame, confidence: float) -> dict:
    """What a reader looks at first of groups.csv and reliability.csv.

    Overall coverage, width and calibration error, and each target's worst group.
    """
    overall = by_group[by_group["by"] == ""].set_index(["target", "score"])["value"]
    found: dict = {"interval_confidence": confidence}
    for (target, score), value in overall.items():
        if score in ("coverage", "width") and value == value:
            found[f"{target}_{score}"] = float(value)
    for target, rows in sure[sure["by"] == ""].groupby("target", sort=False):
        found[f"{target}_calibration_error"] = float(rows["error"].iloc[0])
    found["worst"] = {}
    shown = by_group[(by_group["by"] != "") & by_group["value"].notna()]
    for target, rows in shown[shown["score"].isin(("mae", "accuracy", "recall"))].groupby("target", sort=False):
        row = rows.loc[rows["value"].idxmax() if (rows["score"] == "mae").all() else rows["value"].idxmin()]
        found["worst"][target] = {
            "score": row["score"], "group": row["group"], "n": int(row["n"]),
            **{key: float(row[key]) for key in ("value", "low", "high")},
        }  # fmt: skip
    return found


def draw(name: str, by_group: pd.DataFrame, sure: pd.DataFrame, confidence: float, out: Path) -> None:
    """A plot of each score by group, and a reliability diagram of each target of classes."""
    scores = {"mae": "MAE (years)", "bias": "predicted less true (years)", "accuracy": "accuracy"}
    by_group = by_group.replace({"score": {"recall": "accuracy"}})
    for (target, score), rows in by_group.groupby(["target", "score"], sort=False):
        title = scores.get(score) or (f"share inside the {confidence:.0%} interval" if score == "coverage" else None)
        if title:
            wanted = {"coverage": confidence, "bias": 0.0}.get(score)
            plots.save(plots.by_group(rows, f"{name}: {target}", title, wanted), out / f"{target}_{score}.png")
    for target, rows in sure[sure["by"] == ""].groupby("target", sort=False):
        plots.save(plots.reliability(rows, f"{name}: {target}"), out / f"{target}_reliability.png")
    for target, rows in sure[sure["by"] != ""].groupby("target", sort=False):
        figure = plots.reliability_by_group(rows, f"{name}: {target}")
        plots.save(figure, out / f"{target}_reliability_by_group.png")


if __name__ == "__main__":
    running.stage(main)
