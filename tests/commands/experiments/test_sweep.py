"""Many trainings at a time, each in a DVC experiment of its own."""

import subprocess

import pytest
import yaml

from commands.experiments import sweep
from faces import params
from faces.runtime import dvc_experiments


def test_what_a_sweep_trains(project, edit):
    p = params.load()
    models = list(p.models)
    starts, searches, runs = sweep.plan(sweep.settings(p, models, 0, False), models, [])
    assert starts == {"sweep-once-start": ({}, ["split", "no_teachers"])}
    assert searches == {}
    assert runs["sweep-utkface-cropped-once"] == ({}, ["train@utkface-cropped"])
    assert len(runs) == len(models)

    starts, searches, runs = sweep.plan(sweep.settings(p, models[:2], 3, False), models[:2], ["pair"])
    first = {"seed": p.seed + 1}
    assert list(starts.values()) == [
        ({"seed": p.seed + i}, ["split", "no_teachers", "teachers@pair"]) for i in (1, 2, 3)
    ]
    assert [*searches.values()] == [(first, [f"tune@{model}"]) for model in models[:2]]
    assert len(runs) == 6
    last = f"sweep-{models[1]}-seed-{p.seed + 3}"
    assert runs[last] == ({"seed": p.seed + 3}, [f"train@{models[1]}"])

    with pytest.raises(SystemExit, match="there is one fold"):
        sweep.settings(p, models, 0, True)
    edit(r"^  folds: \d+", "  folds: 5")
    assert [*sweep.settings(params.load(), models, 0, True).values()] == [{"split.fold": fold} for fold in range(5)]


def test_one_that_fails_stops_no_other(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)

    def command(name, settings, targets):
        return ["sh", "-c", f"echo Running stage {name}; echo {settings}; touch {name}; exit {int(name == 'bad')}"]

    monkeypatch.setattr(dvc_experiments, "_command", command)
    with pytest.raises(SystemExit, match=r"^bad failed"):
        dvc_experiments.run_all({name: ({"a": 1}, []) for name in ("one", "bad", "two")}, 2)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == ["bad", "one", "two"]
    assert "two: Running stage two" in capfd.readouterr().err


def test_what_an_experiment_left_in_git_and_in_the_cache_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stage = {"cmd": "mkdir data; echo ${a} | tee data/kept committed", "params": ["a"]}
    outs = {"outs": ["data/kept"], "metrics": [{"committed": {"cache": False}}]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"one": stage | outs}}))
    (tmp_path / "params.yaml").write_text("a: 0\n")
    (tmp_path / ".gitignore").write_text("data/\n")
    for words in ("git init -q", "dvc init -q", "git add -A", "git -c user.name=n -c user.email=e commit -qm first"):
        subprocess.run(words.split(), check=True)
    dvc_experiments.run("seven", {"a": 7})
    assert [dvc_experiments.read("seven", path) for path in ("data/kept", "committed")] == ["7\n", "7\n"]
    assert not (tmp_path / "data").exists()
