"""The table of peers: the dummy baseline by hand, several seeds in one row."""

import json

import pandas as pd

from commands.experiments import peers


def test_the_dummy_baseline_predicts_the_same_for_every_face(project):
    (project / "data/models/m").mkdir(parents=True)
    (project / "data/models/m/model.json").write_text(json.dumps({"dummy_baseline": {"age": 30.0, "sex": 1.0}}))
    (project / "data/evaluated/m").mkdir(parents=True)
    rows = pd.DataFrame(
        {
            "face_id": list("abcd"),
            "part": "test",
            "age": [30, 40, 20, 80],
            "sex": ["male", "female", "female", ""],
            "age_predicted": 1.0,
            "sex_predicted": "male",
        }
    )
    rows.to_csv(project / "data/evaluated/m/predictions.csv", index=False)
    row = peers.dummy_baseline("m")
    assert row["test faces"] == 4
    assert row["age MAE"] == "17.50"  # 0, 10, 10, 50
    assert row["age RMSE"] == "25.98"
    assert row["sex accuracy"] == "0.667"


def test_seeds_of_one_model_stand_together():
    row = {"age_mae": 5.0, "age_rmse": 7.0, "age_bin_accuracy": 0.8, "sex_accuracy": 0.9}
    scores = {"a-seed-1": row, "a-seed-2": row | {"age_mae": 5.2}, "b": row}
    by_title = peers.seed_scores(scores)
    assert list(by_title) == ["a, mean (sd) of 2 seeds"]
    cells = peers.mean_and_sd(by_title["a, mean (sd) of 2 seeds"])
    assert cells["age MAE"] == "5.10 (0.14)"
    assert cells["sex accuracy"] == "0.900 (0.000)"
    assert "ethnicity accuracy" not in cells
