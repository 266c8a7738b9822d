"""Tables of scores: a run that falls short of a published result is named, and a search shows each trial's best."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from commands.publish import results
from faces import params
from faces.evaluation import predictions
from faces.gate import baselines


def row(title, value, low, high, n=100):
    return {"title": title, "n": n, "value": value, "low": low, "high": high}


def test_scores_are_collected_from_the_reports_of_a_run(monkeypatch):
    """Of the sample's committed reports, with the predictions of its baseline."""
    name, p = "utkface-cropped", params.load()
    monkeypatch.setattr(predictions, "read", baselines.load("utkface-sample").predictions.get)
    rows = results.collect(name, p.models[name], p.evaluate).set_index("title")
    folder = Path("reports/models", name)
    summary = json.loads((folder / "summary.json").read_text())
    wanted = pd.read_csv(folder / "scores.csv", keep_default_na=False).query("part == 'test' and group == ''")
    wanted = wanted.set_index(["target", "score"])["value"].astype(float)
    for target, score, title in results.HEADLINES:
        assert rows.loc[title, "value"] == wanted[target, score]
    assert rows.loc["ages inside the 90% interval", "value"] == summary["age_coverage"]
    assert rows.loc["width of the 90% interval, years", "value"] == summary["age_width"]
    worst = summary["worst"]["age"]
    assert rows.loc[f"worst group, MAE in years: {worst['group']}", "n"] == worst["n"]
    assert {"accuracy of sex, below 15 years", "MAE in years, above 70 years", "recall of sex, male"} <= set(rows.index)


def test_a_run_inside_the_intervals_holds_and_one_outside_is_named():
    before = pd.DataFrame(
        [row("MAE", 4.4, 4.2, 4.6), row("accuracy of sex", 0.94, 0.93, 0.95), row("few faces", np.nan, np.nan, np.nan)]
    )
    now = pd.DataFrame([row("MAE", 4.5, 4.3, 4.7), row("accuracy of sex", 0.94, 0.93, 0.95)])
    assert results.differences(now, before) == ""
    worse = now.assign(value=[4.61, 0.94])
    assert results.differences(worse, before) == "MAE: published 4.400 [4.200, 4.600], now 4.610"
    assert "accuracy of sex" in results.differences(now[:1], before)


def test_a_run_with_another_number_of_faces_is_named():
    before = pd.DataFrame([row("MAE", 4.4, 4.2, 4.6)])
    assert results.differences(before.assign(n=99), before) == "MAE: published of 100 faces, now of 99"


def test_another_worst_group_is_no_difference():
    before = pd.DataFrame([row("worst group, MAE in years: age 75-99", 7.0, 6.0, 8.0)])
    now = pd.DataFrame([row("worst group, MAE in years: age 75-99, male", 9.0, 8.0, 10.0)])
    assert results.differences(now, before) == ""


def test_trials_are_scored_by_their_best_epoch():
    history = [{"epoch": 0, "loss": 6.0, "val_score": 0.6}, {"epoch": 1, "loss": 5.0, "val_score": 0.7}]
    history.append({"epoch": 2, "loss": 4.0, "val_score": 0.5})
    other = {"trial": 1, "values": {"learning_rate": 0.00602, "batch_size": 64.0}, "history": history[:1]}
    other |= {"difference": -0.1, "standard_error": 0.05}
    rows = results.trials({"trials": [{"trial": 0, "values": {}, "history": history}, other]}, 0.95)
    assert rows["difference"].isna().tolist() == [True, False]
    assert rows[["low", "high"]].iloc[1].tolist() == pytest.approx([-0.198, -0.002], abs=1e-4)
    assert rows[["trial", "changed", "epochs", "score"]].to_dict("records") == [
        {"trial": 0, "changed": "nothing", "epochs": 3, "score": 0.7},
        {"trial": 1, "changed": "learning_rate 0.00602, batch_size 64", "epochs": 1, "score": 0.6},
    ]
