"""The gate finds losses of the size that docs/gate.md names, made of predictions of a real, weaker training."""

import numpy as np
import pytest

from benchmarks import power
from faces.evaluation import bootstrap
from faces.gate import paired
from faces.targets import TARGETS


@pytest.mark.slow
@pytest.mark.parametrize("losses", [{"age": 0.4}, {"sex": 0.025}, {"age": 0.35, "sex": 0.016}], ids=str)
def test_a_real_loss_is_called_regressed(losses, monkeypatch):
    monkeypatch.setattr(bootstrap, "counts", power.same_counts)
    regressions = [power.regressed(losses, power.ALL, draw) for draw in range(100)]
    assert np.mean(regressions) >= 0.8


def test_a_draw_loses_what_was_asked_for_on_the_mean():
    lost = []
    for draw in range(50):
        rows = power.mixed({"age": 0.35, "sex": 0.016}, "female", draw, 20)
        old = power.published()
        assert rows[["ethnicity_predicted", "age"]].equals(old[["ethnicity_predicted", "age"]])
        women = paired.slices(old, 20)["female"]
        changed = [paired.loss(TARGETS[name], rows) - paired.loss(TARGETS[name], old) for name in ("age", "sex")]
        assert not any(np.nansum(np.abs(difference[~women])) for difference in changed)
        lost.append([np.nanmean(difference[women]) for difference in changed])
    years, share = np.mean(lost, axis=0)
    assert years == pytest.approx(0.35, abs=0.03)
    assert share == pytest.approx(0.016, abs=0.004)
    assert power.mixed({"sex": 0.5}, "female", 0, 20) is None
