"""The table of ablations: gains over base by hand, rows replaced by name."""

import numpy as np
import pandas as pd
import pytest

from commands.experiments import ablations


def test_gains_by_hand(tmp_path):
    path = tmp_path / "levers.csv"
    base = {
        "lever": "base",
        "basis": "01234567",  # digits alone, as one in forty digests is
        "changed": "{}",
        "core_minutes": 20.0,
        "score": 0.5,
        "age_mae": 5.0,
        "sex_accuracy": 0.9,
    }
    ablations.with_gains(ablations.add(path, base)).to_csv(path, index=False)
    rows = ablations.with_gains(ablations.add(path, base | {"lever": "wide", "age_mae": 4.5, "sex_accuracy": 0.89}))
    wide = rows.set_index("lever").loc["wide"]
    assert wide[["age_mae_gain", "sex_accuracy_gain", "score_gain"]].tolist() == pytest.approx([0.5, -0.01, 0.0])
    rows.to_csv(path, index=False)
    again = ablations.add(path, base | {"core_minutes": float("nan")})
    assert again.set_index("lever").loc["base", "core_minutes"] == 20
    assert len(again) == 2
    assert ablations.add(path, base | {"basis": "y"})["lever"].tolist() == ["base"]  # of another recipe


def test_intervals_are_paired_and_of_the_same_faces():
    rng = np.random.default_rng(0)
    base = pd.DataFrame({"age_mae": rng.gamma(2, 3, 400), "score": rng.normal(0, 1, 400)})
    base["group"] = [f"p{i}" for i in range(400)]
    other = base.assign(age_mae=base["age_mae"] - 0.5 + rng.normal(0, 0.5, 400), score=base["score"] + 0.001)
    limits = ablations.intervals(other, base, 0.95)
    assert 0.4 < limits["age_mae_gain_low"] < 0.5 < limits["age_mae_gain_high"] < 0.6  # far less than between faces
    assert limits["score_gain_low"] == pytest.approx(0.001) == limits["score_gain_high"]
    assert "sex_accuracy_gain_low" not in limits
    assert ablations.intervals(other.iloc[1:], base, 0.95) == {}
