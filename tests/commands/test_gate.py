"""`make gate`: exit status and page, on this tree's results and on results that two commits hold."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from commands import baseline, gate
from faces.gate import baselines, decisions
from faces.gate.baselines import Baseline
from tests.gate.test_decisions import faces, predict


def git(*words):
    who = ["-c", "user.name=n", "-c", "user.email=e@e"]
    return subprocess.run(["git", *who, *words], check=True, capture_output=True, text=True).stdout.strip()


def commit():
    git("add", "-A")
    git("commit", "--quiet", "--allow-empty", "-m", "x")
    return git("rev-parse", "HEAD")


def run(monkeypatch, capsys, *words, ci=False):
    """Exit status and what is printed."""
    monkeypatch.setattr(sys, "argv", ["gate", *words])
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    if ci:
        monkeypatch.setenv("CI", "true")
    try:
        gate.main()
        status = 0
    except SystemExit as error:
        status = 0 if error.code in (None, 0) else 1
    return status, capsys.readouterr().out


@pytest.fixture
def old(project, edit):
    """A repository with params.yaml, source files and a baseline of real faces, committed."""
    git("init", "--quiet")
    for folder in ("stages", "faces"):
        (project / folder).mkdir()
        (project / folder / "code.py").write_text("1\n")
    for name in ("dvc.yaml", "requirements.txt"):
        (project / name).write_text("\n")
    edit(r"  limits:  .*\n(    .*\n)+", "  limits: {}\n")
    table = predict(faces(300), 1)
    baselines.write("utkface", Baseline({"m": {"age_mae": 5.0}}, {"m": table}))
    return table, commit()


def worse(table):
    return table.assign(sex_predicted=np.where(table["sex"] == "female", "male", table["sex_predicted"]))


def test_real_results_that_got_worse_shut_the_gate_and_say_for_whom(old, monkeypatch, capsys):
    table, before = old
    baselines.write("utkface", Baseline({"m": {"age_mae": 5.0}}, {"m": worse(table)}))
    commit()
    status, page = run(monkeypatch, capsys, "--against", before)
    assert status == 1
    assert page.startswith("# Gate: utkface regressed (against")
    assert "regressed: sex accuracy of female" in page


def test_a_worse_result_that_is_meant_passes_and_is_shown(old, monkeypatch, capsys):
    table, before = old
    baselines.write("utkface", Baseline({"m": {"age_mae": 5.0}}, {"m": worse(table)}, accepted="half the parameters"))
    status, page = run(monkeypatch, capsys, "--against", before)
    assert status == 0
    assert "**utkface: regressed, accepted**: half the parameters" in page
    assert page.startswith("# Gate: utkface regressed, accepted (against")
    assert "sex accuracy of female" in page
    commit()
    baselines.write("utkface", Baseline({"m": {}}, {"m": worse(table)[1:]}, accepted="half the parameters"))
    status, _ = run(monkeypatch, capsys, "--against", git("rev-parse", "HEAD"))
    assert status == 1  # the reason of then does not excuse what comes later: a score and a face are gone


@pytest.mark.parametrize("folder", ["stages", "faces"])
def test_code_that_changed_without_its_results_is_not_measured(old, monkeypatch, capsys, project, folder):
    _, before = old
    status, page = run(monkeypatch, capsys, "--against", before)
    assert (status, "**utkface**: as it was" in page) == (0, True)
    (project / folder / "code.py").write_text("2\n")
    status, page = run(monkeypatch, capsys, "--against", before)
    assert status == 0
    assert "**utkface: not measured**: code or params changed" in page


def test_a_change_is_judged_by_the_rules_that_it_found(old, monkeypatch, capsys, edit):
    table, before = old
    baselines.write("utkface", Baseline({"m": {"age_mae": 5.0}}, {"m": worse(table)}))
    edit(r"  tolerance_accuracy: 0.008 ", "  tolerance_accuracy: 0.99 ")
    edit(r"  min_group_size: 20", "  min_group_size: 5000")
    status, page = run(monkeypatch, capsys, "--against", before)
    assert status == 1
    assert "regressed: sex accuracy of female" in page
    assert "**rules**: gate changes, judged by those of " in page
    assert "**rules**: evaluate changes" in page


def test_a_score_that_is_taken_out_of_a_baseline_is_seen(old, monkeypatch, capsys):
    table, before = old
    baselines.write("utkface", Baseline({"m": {}}, {"m": table}))
    status, page = run(monkeypatch, capsys, "--against", before)
    assert status == 1
    assert "vanished: age_mae: not there any more" in page


def test_what_was_just_made_is_held_against_the_old_baseline_also_where_a_new_one_is_committed(
    old, monkeypatch, capsys, project, edit
):
    table, before = old
    edit(
        r"^models:\n(  .*\n)+",
        "models:\n  m: {dataset: utkface, variant: cropped, network: residual, options: {}, targets: [age], "
        "teachers: none, start_from: pretrained/none}\n\n",
    )
    raw = project / "data/raw/utkface/cropped"
    raw.mkdir(parents=True)
    (raw / "provenance.json").write_text('{"kind": "real", "simulated": false, "archives": []}')
    made = project / "data/evaluated/m"
    made.mkdir(parents=True)
    (made / "metrics.json").write_text('{"test": {"age_mae": 5.0}}')
    worse(table).to_csv(made / "predictions.csv", index=False)
    status, page = run(monkeypatch, capsys, "--against", before)
    assert (status, "regressed: sex accuracy of female" in page) == (1, True)
    table.to_csv(made / "predictions.csv", index=False)
    assert run(monkeypatch, capsys, "--against", before)[0] == 0


def test_a_new_baseline_passes_and_a_deleted_one_does_not(old, monkeypatch, capsys, project):
    table, before = old
    baselines.write("wiki", Baseline({"m": {}}, {"m": table}))
    assert "**wiki: new**" in run(monkeypatch, capsys, "--against", before)[1]
    shutil.rmtree(project / "reports/baselines/utkface")
    status, page = run(monkeypatch, capsys, "--against", before)
    assert status == 1
    assert "vanished: its baseline was deleted" in page
    baselines.write("wiki", Baseline({"m": {}}, {"m": table}, accepted="UTKFace is not used any more"))
    status, page = run(monkeypatch, capsys, "--against", before)
    assert (status, "accepted**: UTKFace is not used any more" in page) == (0, True)


def test_a_reason_that_was_given_before_does_not_excuse_a_deleted_baseline(old, monkeypatch, capsys, project):
    table, _ = old
    baselines.write("wiki", Baseline({"m": {}}, {"m": table}, accepted="long ago, of wiki alone"))
    before = commit()
    shutil.rmtree(project / "reports/baselines/utkface")
    status, page = run(monkeypatch, capsys, "--against", before)
    assert (status, "vanished: its baseline was deleted" in page) == (1, True)


@pytest.mark.parametrize("commit", ["", "none", "-x"])
def test_what_is_no_commit_is_named(old, project, commit):
    """'' would be the index, whose rules are this tree's own."""
    with pytest.raises(SystemExit, match=rf"^'{commit}' is no commit that git has here: fetch it"):
        gate.compare(commit)


def test_all_baselines_may_be_deleted(old, monkeypatch, capsys, project):
    shutil.rmtree(baselines.FOLDER)
    status, page = run(monkeypatch, capsys, "--against", old[1])
    assert status == 1
    assert "its baseline was deleted" in page


def test_a_baseline_of_another_format_stops_a_change_that_says_nothing(old, monkeypatch, capsys, project):
    table, _ = old
    about = project / "reports/baselines/utkface/about.json"
    about.write_text(about.read_text().replace('"format": 1', '"format": 0'))
    before = commit()
    baselines.write("utkface", Baseline({"m": {}}, {"m": table}))
    status, page = run(monkeypatch, capsys, "--against", before)
    assert status == 1
    assert "has format 0, not 1" in page
    baselines.write("utkface", Baseline({"m": {}}, {"m": table}, accepted="a new format"))
    assert run(monkeypatch, capsys, "--against", before)[0] == 0


def test_what_the_stage_wrote_decides_and_goes_to_the_summary(project, monkeypatch, capsys, tmp_path):
    (project / "reports/gate").mkdir(parents=True)
    (project / "reports/gate/table.md").write_text("# Gate: the table\n")

    def write(verdict):
        decided = {"x": {"verdict": verdict, "models": {"m": {"verdict": verdict, "reasons": []}}}}
        (project / "reports/gate/verdict.json").write_text(json.dumps(decided))

    for word, here, in_ci in ((decisions.REGRESSED, 1, 1), (decisions.UNCHANGED, 0, 0), (decisions.NO_BASELINE, 0, 1)):
        write(word)
        assert run(monkeypatch, capsys)[0] == here
        assert run(monkeypatch, capsys, ci=True)[0] == in_ci
    monkeypatch.setenv("GATE_TABLE", str(tmp_path / "table"))
    run(monkeypatch, capsys)
    assert (tmp_path / "table").read_text() == "# Gate: the table\n\n"


@pytest.mark.parametrize(
    ("failed", "advised"),
    [
        ({decisions.REGRESSED}, ["make baseline WHY="]),
        ({decisions.BEYOND_LIMIT}, ["gate.limits"]),
        ({decisions.NO_BASELINE}, ["`make baseline` makes"]),
        ({decisions.REGRESSED, decisions.BEYOND_LIMIT}, ["make baseline WHY=", "gate.limits"]),
    ],
)
def test_the_advice_fits_the_failure(failed, advised):
    lines = gate.advice(failed)
    assert len(lines) == len(advised)
    assert all(part in line for part, line in zip(advised, lines, strict=True))


@pytest.mark.parametrize(("verdict", "refused"), [("regressed", True), ("vanished", True), ("other test faces", True),
                                                  ("unchanged", False), ("beyond its limit", False)])  # fmt: skip
def test_a_worse_result_is_accepted_only_with_a_reason(tmp_path, verdict, refused):
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps({"x": {"models": {"m": {"verdict": verdict, "reasons": []}}}}))
    assert baseline.unexplained(path) == ({"m": verdict} if refused else {})
    assert baseline.unexplained(tmp_path / "none.json") == {}
