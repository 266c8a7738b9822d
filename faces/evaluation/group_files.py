"""The tables of groups of test faces, and a model's summary, as files of a folder."""

from pathlib import Path

import pandas as pd

from faces import params, scores
from faces.data import records
from faces.evaluation import dummy_baseline, reliability, subgroups


def write(
    test: pd.DataFrame, constants: dict[str, float], settings: params.Evaluate, confidence: float, out: Path
) -> dict:
    """Write subgroups.csv, gaps.csv, reliability.csv and summary.json of test faces to a folder; returns the summary.

    test: rows of predictions.csv; constants: of the dummy baseline; confidence: of the age intervals.
    """
    sums = subgroups.Sums(test, settings.bootstrap_samples, settings.seed)
    by_group = subgroups.group_scores(sums, settings.min_group_size, settings.confidence)
    width_in_group = (by_group["score"] == "width") & (by_group["by"] != "")
    by_group = scores.table(by_group, by_group["score"].mask(width_in_group, "group_width"))
    curves = scores.table(reliability.by_group(test, settings.min_group_size))
    worst = subgroups.worst(sums, settings.min_group_size, settings.confidence)
    compared = dummy_baseline.comparison(test, constants, settings)
    summary = subgroups.summary(by_group, curves, worst, confidence) | {dummy_baseline.KEY: compared}
    records.write(by_group, out / "subgroups.csv")
    records.write(scores.table(subgroups.gaps(sums, settings.min_group_size, settings.confidence)), out / "gaps.csv")
    records.write(curves, out / "reliability.csv")
    records.write_json(summary, out / "summary.json")
    return summary
