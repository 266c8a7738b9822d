"""README.md shows six scores of a published model, and changes between its marks only."""

import pandas as pd
import pytest

from commands.publish import readme


def test_the_readme_changes_between_its_marks_alone():
    text = "before\n<!-- results of x: by make publish -->\nold\n<!-- end of results of x -->\nafter\n"
    assert readme.replaced(text, "x", "| new |") == text.replace("old", "| new |")
    with pytest.raises(SystemExit, match="between which the table goes"):
        readme.replaced(text, "y", "| new |")


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
    lines = readme.section(rows, about).splitlines()
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
    assert readme.section(rows, about).splitlines()[-1] == (
        "3,406,292 parameters, 6.8 MB; 28 epochs, after 2 trained teachers. Earlier models scored on these test faces: "
        "1. [All results](reports/published/x/README.md)."
    )
