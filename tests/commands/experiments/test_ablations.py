"""The table of ablations: gains over base by hand, rows replaced by name."""

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
