"""The page of a published model: tables, search, folds, size and cost; and its six scores in README.md."""

import numpy as np
import pandas as pd
import pytest

from commands.experiments import folds
from commands.publish import page
from faces.reporting import published


def test_folds_of_a_published_split_are_shown_and_others_are_not(project):
    assert page.folds_section("m")[-1].startswith("Not measured")
    scores = [{"m": {"age_mae": 4.0}}, {"m": {"age_mae": 4.4}}]
    protocols = ("UTKFace_aligned.json", published.OWN_FOLDS)
    rows = pd.concat([folds.table(scores, {"m": protocol}) for protocol in protocols])
    assert rows[["mean", "sd", "folds"]].to_numpy().tolist() == [[4.2, 0.2828, 2], [4.2, 0.2828, 2]]
    published.FOLDER.mkdir(parents=True)
    rows.to_csv(published.FOLDER / published.FOLDS, index=False)
    table = page.folds_section("m")[-1]
    assert table.count("age_mae") == 1
    assert "UTKFace_aligned.json" in table


def test_the_result_of_a_search_says_whether_its_values_were_taken(tmp_path):
    trials = tmp_path / "trials.csv"
    kept = page.search_result(0.01, {"gain": 0.0073, "values": {}}, trials)
    assert kept.endswith("asked for, so these were kept. Intervals: not measured.")
    trials.write_text("trial,score,difference,low,high\n")
    taken = page.search_result(0.01, {"gain": 0.02, "values": {"dropout": 0.1}}, trials)
    assert taken.endswith("its numbers were taken. Intervals: paired, and simultaneous over the trials.")
    assert page.search_result(0.01, {"gain": None, "values": {}}, trials).endswith("this one was not searched for.")


def test_ablations_are_shown_by_change_and_gain():
    scores = {"score": 0.5, "age_mae": 5.0, "score_gain": 0.0, "age_mae_gain": 0.0}
    base = {"lever": "base", "changed": "{}", "epochs": 6, "parameters": 1200.0, "core_minutes": np.nan, **scores}
    changed = '{"models.utkface.options.widths": [64, 128], "train.loss_weights.sex": 3.0}'
    wide = {"lever": "wide", "changed": changed, "core_minutes": 38.71, "age_mae": 5.2, "age_mae_gain": -0.2}
    first, second = page.ablation_cells(pd.DataFrame([base, base | wide]))
    assert first["changed"] == "" and first["MAE, years"] == "5.000" and "core minutes" not in first
    assert second["changed"] == "widths [64, 128], loss_weights.sex 3.0"
    assert second["MAE, years"] == "5.200 (-0.200)" and second["score"] == "0.500 (+0.000)"
    assert second["core minutes"] == "38.7" and second["parameters"] == "1,200"
    assert "accuracy of sex" not in second
    limits = {"age_mae_gain_low": -0.31, "age_mae_gain_high": -0.1, "score_gain_low": -0.02, "score_gain_high": 0.01}
    (cells,) = page.ablation_cells(pd.DataFrame([base | wide | limits]))
    assert cells["MAE, years"] == "5.200 (-0.200 [-0.310, -0.100])"
    assert cells["score"] == "0.500 (+0.000 [-0.020, +0.010], inconclusive)"


def test_trials_are_shown_with_what_they_gain():
    rows = pd.DataFrame([{"trial": 0, "score": 0.7}, {"trial": 1, "score": 0.71}])
    assert page.trial_cells(rows)[1] == {"trial": "1", "score": "0.71"}
    rows = rows.assign(difference=[np.nan, 0.01], low=[np.nan, -0.02], high=[np.nan, 0.03])
    assert "gain" not in page.trial_cells(rows)[0]
    assert page.trial_cells(rows)[1]["gain"] == "+0.010 [-0.020, +0.030], inconclusive"


def test_size_and_cost_are_shown_where_they_are_known():
    about = {
        "parameters": 3406292,
        "trained": {"budget": {"precision": "float32"}, "train": {"threads": 2}},
        "cost": {
            "epochs": 26,
            "minutes": 101.4,
            "machine": "Linux",
            "files": {"x.onnx": 6800000},
            "teachers": {},
            "trials": [],
        },
    }
    text = "3,406,292 parameters, `x.onnx` 6.8 MB; trained for 26 epochs on 2 threads, in float32"
    assert page.size_and_cost(about) == f"{text}, in 101 minutes (Linux)."
    assert page.size_and_cost(about | {"cost": about["cost"] | {"minutes": ""}}) == f"{text}."
    before = {"minutes": "", "teachers": {"teacher 1": 20, "teacher 2": 18}, "trials": [4, 4, 4]}
    assert page.size_and_cost(about | {"cost": about["cost"] | before}) == (
        f"{text}. Before it came 2 teachers, which it is distilled from (20 and 18 epochs) and a search of 3 short "
        "trainings (4 epochs each)."
    )
    assert page.epoch_counts([3]) == "3 epochs"
    assert page.epoch_counts([3, 4, 4]) == "3, 4 and 4 epochs"


def test_the_readme_changes_between_its_marks_alone():
    text = "before\n<!-- results of x: by make publish -->\nold\n<!-- end of results of x -->\nafter\n"
    assert page.replaced(text, "x", "| new |") == text.replace("old", "| new |")
    with pytest.raises(SystemExit, match="between which the table goes"):
        page.replaced(text, "y", "| new |")


def test_six_scores_are_shown_and_the_rest_is_linked():
    rows = pd.DataFrame(
        [
            ("age", "mae", "", "age MAE"),
            ("age", "mae", "0-24", "age MAE of a group"),
            ("age", "coverage", "", "coverage"),
            ("age", "width", "", "width"),
            ("sex", "accuracy", None, "accuracy of sex"),
            ("sex", "accuracy", "below 15 years", "accuracy of sex of children"),
            ("age", "mae", "age 75-99", "worst group, MAE"),
            ("sex", "recall", "age 0-24, male", "worst group, recall of sex"),
            ("age", "rmse", "", "age RMSE"),
            ("ethnicity", "accuracy", "", "accuracy of ethnicity"),
        ],
        columns=["target", "score", "group", "title"],
    ).assign(n=100, value=0.5, low=0.4, high=0.6)
    cost = {"epochs": 28, "minutes": 36.2, "files": {"x.onnx": 6_800_000, "x.keras": 1}, "teachers": {}, "trials": []}
    about = {
        "kind": "real",
        "simulated": False,
        "archives": [{"name": "x.tar", "official": True}],
        "recipe": "recipes/x.yaml",
        "parameters": 3_406_292,
        "trained": {"train": {"threads": 2}},
        "cost": cost,
        "earlier": [],
    }
    lines = page.readme_section(rows, about).splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")] == [
        "score",
        "age MAE",
        "age RMSE",
        "accuracy of sex",
        "accuracy of ethnicity",
        "coverage",
        "worst group, recall of sex",
    ]
    size = "3,406,292 parameters, 6.8 MB; 28 epochs in 36 minutes on 2 threads"
    assert lines[-1] == f"{size}. [All results](reports/published/x/README.md)."
    about |= {"earlier": [{"commit": "a"}], "cost": cost | {"minutes": "", "teachers": {"1": 20, "2": 20}}}
    assert page.readme_section(rows, about).splitlines()[-1] == (
        "3,406,292 parameters, 6.8 MB; 28 epochs, after 2 trained teachers. Earlier models scored on these test faces: "
        "1. [All results](reports/published/x/README.md)."
    )


def test_robustness_has_a_row_a_change_and_strength_with_paired_differences():
    columns = ["change", "strength", "target", "score", "value", "difference", "low", "high", "change_years"]
    nothing = ["none", 0.0, "age", "mae", 4.0, 0.0, 0.0, 0.0, 0.0]
    blurred = ["blur, pixels", 0.5, "age", "mae", 4.25, 0.25, 0.1, 0.4, -0.5]
    rows = pd.DataFrame([nothing, blurred, ["blur, pixels", 0.5, "sex", "accuracy", 0.9, -0.05, -0.1, 0.0, None]])
    rows = rows.set_axis(columns, axis=1).assign(absolute_change_years=[0.0, 1.25, None])
    assert page.robustness_cells(rows) == [
        {"change": "none", "strength": "0", "age MAE": "4.00", "years moved": "0.00", "mean move": "+0.00"},
        {"change": "blur, pixels", "strength": "0.5", "age MAE": "4.25 (+0.25 [+0.10, +0.40])", "years moved": "1.25",
         "mean move": "-0.50", "sex accuracy": "0.900 (-0.050 [-0.100, +0.000])"},
    ]  # fmt: skip
