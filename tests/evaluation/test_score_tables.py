"""One score with its interval."""

import numpy as np
import pandas as pd

from faces import params, targets
from faces.evaluation import score_tables


def test_a_score_of_a_group_counts_people_once():
    rows = pd.DataFrame(
        {
            "face_id": list("abcd"),
            "group": ["x", "x", "y", "z"],
            "sex": ["male", "female", "male", ""],
            "sex_predicted": ["male", "male", "male", "male"],
        }
    )
    settings = params.load().evaluate.model_copy(update={"min_group_size": 3, "bootstrap_samples": 50})
    scored = score_tables.one_score(rows, targets.TARGETS["sex"], "accuracy", settings)
    assert (scored["n"], round(scored["value"], 6)) == (3, 0.666667)  # one has no label
    assert scored["low"] <= scored["value"] <= scored["high"]
    few = score_tables.one_score(
        rows, targets.TARGETS["sex"], "accuracy", settings.model_copy(update={"min_group_size": 4})
    )
    assert few["n"] == 3
    assert np.isnan([few["value"], few["low"], few["high"]]).all()
