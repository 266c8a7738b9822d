"""A model's lineage is kept in full, printed by one command, and compared with that of a reproduction."""

import json
import subprocess

import pandas as pd
import pytest

from commands import lineage as command
from commands import reproduce
from faces import params
from faces.tracking import lineage, origin, registry, runs, store
from stages import register


def git(folder, *words):
    who = ["-c", "user.name=n", "-c", "user.email=e@e"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    (folder / "reports").mkdir(parents=True)
    (folder / "stage.py").write_text("print(1)\n")
    (folder / "picture.bin").write_bytes(bytes(range(256)))
    (folder / "dvc.lock").write_text("a\n")
    (folder / "reports/index.md").write_text("a\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "first")
    monkeypatch.chdir(folder)
    return folder


def test_uncommitted_changes_are_kept_with_new_files_and_can_be_applied(repository):
    assert origin.dirty_diff() == ""
    (repository / "stage.py").write_text("print(2)\n")
    (repository / "picture.bin").write_bytes(bytes(reversed(range(256))))
    (repository / "new.py").write_text("no newline at its end")
    (repository / "dvc.lock").write_text("b\n")
    (repository / "reports/index.md").write_text("b\n")
    (repository / "latin.txt").write_bytes("Zoë".encode("latin-1"))
    (repository / "large.py").write_bytes(bytes(origin.LARGE + 1))
    (repository / "face.jpg").write_bytes(b"a face")
    diff = origin.dirty_diff()
    assert "# large.py is not tracked, and not kept here" in diff
    assert "# face.jpg is not tracked, and not kept here" in diff
    reproduce.check_out(repository.parent / "again", git(repository, "rev-parse", "HEAD").strip(), diff)
    again = repository.parent / "again"
    assert (again / "stage.py").read_text() == "print(2)\n"
    assert (again / "picture.bin").read_bytes() == bytes(reversed(range(256)))
    assert (again / "new.py").read_text() == "no newline at its end"
    assert (again / "latin.txt").read_bytes() == "Zoë".encode("latin-1")
    assert not (again / "face.jpg").exists()
    assert (again / "dvc.lock").read_text() == (again / "reports/index.md").read_text() == "a\n"


def test_a_start_that_git_does_not_have_is_named_in_full(repository, tmp_path):
    names = ("data/models/wiki", "pretrained/none", "data/copied/faces-1", "/elsewhere")
    (tmp_path / "again/pretrained").mkdir(parents=True)
    (tmp_path / "again/pretrained/none").touch()
    values = {"models": {name: {"start_from": name} for name in names} | {"older": {}}}
    reproduce.name_starts(values, tmp_path / "again")
    kept = [row.get("start_from") for row in values["models"].values()]
    assert kept == [*names[:2], str(repository / "data/copied/faces-1"), "/elsewhere", None]


def test_a_missing_commit_is_an_error(repository, tmp_path):
    with pytest.raises(SystemExit, match="commit " + "0" * 40 + " cannot be checked out here"):
        reproduce.check_out(tmp_path / "again", "0" * 40, "")


class Run:
    class data:
        tags = {"source_kind": "sample"}  # noqa: RUF012


def test_params_are_set_by_key_and_another_source_keeps_the_budget(tmp_path):
    old = {"train": {"seed": 1}, "data": {"source": "sample"}, "budget": "auto"}
    new = reproduce.changed(old, ["train.seed=5"], str(tmp_path), Run)
    assert new == {"train": {"seed": 5}, "data": {"source": str(tmp_path)}, "budget": "sample"}
    assert old["train"]["seed"] == 1
    assert list(new) == list(old)  # a search depends on the order of its space
    for text in ("train.sed=5", "seed", "train.seed.x=1"):
        with pytest.raises(SystemExit, match=r"is not a key of params\.yaml"):
            reproduce.changed(old, [text], None, Run)


def test_the_verdict_is_one_of_three():
    old = dict.fromkeys(lineage.RESULTS, "a") | {lineage.MODEL: "w"}
    rows = [{"score": "age_mae", "was": 5.0, "is": 5.3}, {"score": "age_rmse", "was": 5.0, "is": 9.0}]
    assert reproduce.judged(old, old | {lineage.MODEL: "v"}, rows, {"age_mae": 0.5}, True) == "identical"
    new = old | {lineage.PREDICTIONS: "b"}
    assert reproduce.judged(old, new, rows, {"age_mae": 0.5}, True) == "within seed spread"
    assert "was not measured" in reproduce.judged(old, new, rows, {"age_mae": 0.5}, False)
    assert reproduce.judged(old, new, rows, {"age_mae": 0.2}, True) == "different: age_mae 5.0 -> 5.3"
    missing = [{"score": "age_mae", "was": 5.0, "is": None}]
    assert reproduce.judged(old, new, missing, {"age_mae": 0.5}, True).startswith("different")


def test_changes_by_key():
    assert lineage.changes({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == {"b": (2, 3), "c": (None, 4)}


def test_digests_follow_the_pipeline_and_skip_what_is_missing(project):
    row = params.load().models["utkface-cropped"]
    folder = project / "data/raw/utkface/cropped"
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text(json.dumps({"archives": [{"name": "a.tar", "sha256": "ab"}]}))
    (project / "data/splits").mkdir()
    (project / "data/splits/utkface.csv").write_text("x")
    digests = lineage.digests("utkface-cropped", row)
    assert list(digests) == ["archive a.tar", "split"]
    assert digests["split"] == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # sha256 of x


@pytest.fixture
def registered(tracked, monkeypatch):
    """A store with one registered version, as log and register write it."""
    monkeypatch.chdir(tracked)
    client, experiment = store.open_experiment("faces-utkface-sample")
    for key, split in (("k", "s1"), ("other", "s1"), ("elsewhere", "s2"), ("unscored", "s1")):
        run = runs.find_or_create(client, experiment, "m", key)
        client.set_tag(run.info.run_id, "split", split)
        if key != "unscored":
            client.log_metric(run.info.run_id, "test_mae", 5.0)
    run = runs.find_or_create(client, experiment, "m", "k")
    for key, value in {"model": "m", "git_commit": "c" * 40, "machine": "a machine", "python": "3.11",
                       "start_from": "data/models/wiki"}.items():  # fmt: skip
        client.set_tag(run.info.run_id, key, value)
    values = {"train.seed": 1, "train.growing": [48], "train.augment.flip": True, "budget.x": None}
    runs.add_params(client, run.info.run_id, values)
    kept = {
        "commit": "c" * 40,
        "digests": {"archive a": "ab", "split": "s1"},
        "packages": {"keras": "3.15.1", "zipp": "1"},
    }
    monkeypatch.setattr(origin, "dirty_diff", lambda: "diff --git a/x.py b/x.py\n+changed\n")
    origin.log_origin(client, run.info.run_id, lineage.folder("ab" * 32), {"lineage.json": json.dumps(kept)})
    model = client.create_logged_model(experiment, source_run_id=run.info.run_id)
    run = client.get_run(run.info.run_id)
    tags = {"score": "score", "val": "0.5", "onnx_sha256": "ab" * 32}
    version = registry.register(client, "faces-utkface-sample", run, model, tags).version
    registry.promote(client, "faces-utkface-sample", version, None, "the first; gate: unchanged")
    return client, run


def test_one_command_prints_all(registered):
    lines = command.markdown("models:/faces-utkface-sample@champion")
    text = "\n".join(lines)
    for part in ("version 1", "c" * 40, "uncommitted: x.py (patch below)", "a machine", "archive a: ab", "split: s1",
                 "keras 3.15.1", "none -> version 1; the first; gate: unchanged", "seed: 1", "flip: true",
                 "progressive_sizes:", "+changed", "- started from: data/models/wiki",
                 "used by 2 trainings"):  # fmt: skip
        assert part in text, part
    assert "zipp" not in text
    assert "zipp 1" in "\n".join(command.markdown("models:/faces-utkface-sample/1", every_package=True))
    assert command.default() == "models:/faces-utkface-sample@champion"


def test_runs_of_older_versions_are_listed_by_the_present_names(registered):
    rows = runs.newest(registered[0])
    assert rows["test/age_mae"].tolist() == pytest.approx([float("nan"), 5.0, 5.0, 5.0], nan_ok=True)
    assert set(rows["experiment"]) == {"faces-utkface-sample"}
    assert rows["started"].is_monotonic_decreasing


def test_an_unknown_model_is_an_error_that_lists_the_registered_ones(registered):
    with pytest.raises(SystemExit, match="there are: faces-utkface-sample"):
        registry.find_version("models:/faces-x@champion")
    with pytest.raises(SystemExit, match="is not models:/NAME@ALIAS"):
        registry.find_version("faces-x")


def test_promotions_are_logged_and_the_oldest_are_dropped_when_too_many(registered):
    client, _ = registered
    for number in range(60):
        registry.promote(client, "faces-utkface-sample", "1", None, f"number {number}, " + "x" * 60)
    lines = registry.promotions(client, "faces-utkface-sample")
    assert "number 59" in lines[-1]
    assert " UTC: none -> version 1" in lines[-1]
    assert 20 < len(lines) < 60


@pytest.mark.parametrize(("kind", "vetoed"), [("regressed", True), ("beyond its limit", True), ("unchanged", False),
                                              ("no baseline", False), ("other test faces", False)])  # fmt: skip
def test_test_faces_veto_a_promotion_and_cause_none(tmp_path, monkeypatch, kind, vetoed):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports/gate").mkdir(parents=True)
    for first in ("", "vanished: sex_accuracy"):  # which takes precedence in the verdict
        row = {"verdict": first.split(":")[0] or kind, "reasons": [*filter(None, [first]), f"{kind}: why"]}
        (tmp_path / "reports/gate/verdict.json").write_text(json.dumps({"x": {"models": {"m": row}}}))
        assert bool(register.veto("m")) == vetoed
    assert not register.veto("another")


def test_register_knows_the_verdicts_of_the_gate():
    from faces.gate import decisions

    assert set(register.VETO) == {decisions.REGRESSED, decisions.BEYOND_LIMIT}


def test_margins_of_a_reproduction_come_from_the_baseline(project, registered, monkeypatch):
    client, run = registered
    client.log_param(run.info.run_id, "model.targets", "['age', 'sex']")
    run = client.get_run(run.info.run_id)
    assert reproduce.allowed_differences(run, "m") == ({"age_mae": 0.15, "sex_accuracy": 0.008}, False)
    (project / "reports/baselines/utkface-sample").mkdir(parents=True)
    from faces.gate import baselines
    from tests.gate.test_decisions import faces, predict

    one = baselines.Baseline({"m": {}}, {"m": predict(faces(30), 1)})
    one.seed_sd = pd.DataFrame([{"model": "m", "target": "age", "slice": "all faces", "n": 100, "seeds": 5, "sd": 0.1}])
    baselines.write("utkface-sample", one)
    allowed, measured = reproduce.allowed_differences(run, "m")
    assert not measured  # sex was not
    assert allowed["age_mae"] == pytest.approx(3 * 2**0.5 * 0.1)
