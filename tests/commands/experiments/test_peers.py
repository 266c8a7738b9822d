"""The table of peers: floors by hand, several seeds as one."""

import json

import pandas as pd

from commands.experiments import peers


def test_floors_say_the_same_of_every_face(project):
    (project / "data/models/m").mkdir(parents=True)
    (project / "data/models/m/model.json").write_text(json.dumps({"floors": {"age": 30.0, "sex": 1.0}}))
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
    (found,) = peers.floors("m")
    assert found["test faces"] == 4
    assert found["age MAE"] == "17.50"  # 0, 10, 10, 50
    assert found["age RMSE"] == "25.98"
    assert found["sex accuracy"] == "0.667"


def test_seeds_of_one_model_stand_together():
    row = {"age_mae": 5.0, "age_rmse": 7.0, "age_bin_accuracy": 0.8, "sex_accuracy": 0.9}
    scores = {"a-seed-1": row, "a-seed-2": row | {"age_mae": 5.2}, "b": row}
    found = peers.several(scores)
    assert list(found) == ["a, mean (sd) of 2 seeds"]
    cells = peers.spread(found["a, mean (sd) of 2 seeds"])
    assert cells["age MAE"] == "5.10 (0.14)"
    assert cells["sex accuracy"] == "0.900 (0.000)"
    assert "ethnicity accuracy" not in cells
