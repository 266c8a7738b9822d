"""What DVC does not document still works as this project relies on: all with DVC itself, in a small project."""

import hashlib
import subprocess
import sys
import threading

import pytest
import yaml

from faces.runtime import dvc_experiments, dvc_internals

# With `a` 0 or 1, it waits for the same stage of the other experiment, and so meets it only if both run at a time.
MEET = """
import sys, time
from pathlib import Path

folder, a = Path(sys.argv[1]), sys.argv[2]
(folder / a).touch()
other, end = folder / {"0": "1", "1": "0"}.get(a, a), time.monotonic() + 120
while not other.exists() and time.monotonic() < end:
    time.sleep(0.05)
Path("met").write_text(a if other.exists() else "alone")
"""


def run(*words, cwd=None):
    return subprocess.run(words, cwd=cwd, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def tracked(tmp_path, monkeypatch):
    """A repository of git and DVC with one stage, which writes the key `a` of its params."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (tmp_path / "meeting").mkdir()
    (folder / "meet.py").write_text(MEET)
    command = f"{sys.executable} meet.py {tmp_path / 'meeting'} ${{a}}"
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"one": {"cmd": command, "outs": ["met"]}}}))
    (folder / "params.yaml").write_text("a: 2\n")
    for words in ("git init -q", "dvc init -q", "git add -A", "git -c user.name=n -c user.email=e commit -qm first"):
        run(*words.split())
    return folder


def test_a_truncated_lock_stops_dvc_until_it_is_removed(tracked, capsys):
    run("dvc", "repro", "-q")
    dvc_internals.LOCK.write_text('{"wri')
    (tracked / "met").unlink()
    stopped = subprocess.run(["dvc", "repro"], capture_output=True, text=True, check=False)
    assert stopped.returncode
    assert "rwlock" in stopped.stderr
    dvc_internals.mend_lock(patience=0.1)
    assert "rwlock was truncated" in capsys.readouterr().err
    run("dvc", "repro", "-q")
    assert (tracked / "met").exists()


@pytest.mark.parametrize("cut", ["", '{"wri'])
def test_a_truncated_rwlock_is_removed(tmp_path, cut, capsys):
    lock = tmp_path / "rwlock"
    lock.write_text(cut)
    dvc_internals.mend_lock(lock, patience=0.1)
    assert not lock.exists()
    assert "truncated" in capsys.readouterr().err


def test_a_rwlock_that_is_being_written_stays(tmp_path, capsys):
    lock = tmp_path / "rwlock"
    lock.write_text("")
    writing = threading.Timer(0.1, lock.write_text, ["{}"])
    writing.start()
    dvc_internals.mend_lock(lock, patience=5)
    writing.join()
    assert lock.read_text() == "{}"
    assert capsys.readouterr().err == ""  # it was not removed and then written again


@pytest.mark.parametrize("place", [None, "elsewhere"])
def test_a_file_of_the_cache_is_there_by_its_checksum(tracked, place):
    if place:
        run("dvc", "cache", "dir", place)
    run("dvc", "repro", "-q")
    content = (tracked / "met").read_bytes()
    file = dvc_internals.cached_file(hashlib.md5(content).hexdigest())
    assert file.read_bytes() == content
    assert file.is_relative_to(tracked / (place or ".dvc/cache"))
    assert dvc_internals.cached_file("0" * 32) is None


def test_experiments_run_at_a_time_are_kept_by_name_and_come_to_another_clone(tracked, tmp_path, capfd):
    dvc_experiments.run_all({f"number-{a}": ({"a": a}, ["one"]) for a in (0, 1)}, 2)
    assert [dvc_experiments.read(f"number-{a}", "met") for a in (0, 1)] == ["0", "1"]
    assert "number-1: Running stage 'one':" in capfd.readouterr().err
    assert not (tracked / "met").exists()

    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", str(tracked), str(clone))
    run("git", "fetch", "--quiet", "origin", dvc_internals.EXPERIMENTS, cwd=clone)
    assert sorted(run("dvc", "exp", "list", "--names-only", cwd=clone).split()) == ["number-0", "number-1"]

    assert dvc_experiments.commit("number-1") == "number-1"
    dvc_experiments.remove("number-1")
    with pytest.raises(SystemExit, match="there is no DVC experiment number-1"):
        dvc_experiments.commit("number-1")
