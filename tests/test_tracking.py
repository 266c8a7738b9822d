"""MLflow: a run is made once, completed as often as one likes, and never doubled."""

import pytest

from stages import register
from stages.lib import provenance, tracking


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tracking.store("faces-test")


def test_a_run_is_completed_not_doubled(store):
    client, experiment = store
    history = [{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.0}]
    trials = [{"trial": 0, "values": {}, "score": 0.1, "history": history}]
    for _ in range(2):
        run = tracking.find_or_create(client, experiment, "m", "abc")
        tracking.add_params(client, run.info.run_id, {"a": 1})
        tracking.add_metrics(client, run.info.run_id, {"test_mae": 4.0, "nothing": float("nan")})
        tracking.add_curve(client, run.info.run_id, "curve", history)
        tracking.add_trials(client, run, "m", trials)
    runs = client.search_runs([experiment])
    assert len(runs) == 2
    run = next(r for r in runs if r.data.tags["stage"] == "train")
    assert run.data.params == {"a": "1"}
    assert run.data.metrics == {"test_mae": 4.0, "curve/loss": 1.0}
    assert len(client.get_metric_history(run.info.run_id, "curve/loss")) == 2
    assert len(client.get_metric_history(run.info.run_id, "test_mae")) == 1


def test_the_store_opens_twice(store):
    assert tracking.store("faces-test")[1] == store[1]


def test_names_and_warnings():
    noted = {"kind": "real", "simulated": False, "archives": [{"name": "a", "official": False, "sha256": "ab" * 32}]}
    assert provenance.store_name("wiki", noted) == "faces-wiki"
    assert "differs from the published" in provenance.warnings(noted)[0]
    assert provenance.store_name("wiki", noted | {"simulated": True}) == "faces-wiki-simulated"
    assert provenance.store_name("wiki", noted | {"kind": "sample"}) == "faces-wiki-sample"


class Version:
    version = "1"
    tags = {"split": "s", "score": "score", "val": "0.5"}  # noqa: RUF012


def test_a_champion_falls_to_a_better_one_on_the_same_faces_alone():
    assert register.verdict_on(None, "1", "s", 0.1, "score") == ""
    assert register.verdict_on(Version, "2", "s", 0.6, "score") == ""
    assert "stays version 1" in register.verdict_on(Version, "2", "s", 0.5, "score")
    assert "another split" in register.verdict_on(Version, "2", "other", 0.9, "score")
    assert register.choose({"a": 5.0, "b": 4.0, "c": None}, "age_mae") == "b"
    assert register.choose({"a": None}, "age_mae") is None
