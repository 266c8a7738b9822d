"""A stage runs in one process at a time, reports a full disk in one line, and resumes after a crash."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from commands import check
from faces.runtime import progress, running
from tests.conftest import ROOT

STAGE = """
import sys, time
from pathlib import Path
from faces.runtime import running

def main(word):
    with running.unfinished("job", word, "key") as place:
        (place / "state").write_text("half")
        print("started", flush=True)
        sys.stdin.readline() if sys.argv[2] == "input" else time.sleep(float(sys.argv[2]))
        with open("ends", "a") as ends:
            ends.write(sys.argv[2])
    print("done", flush=True)

sys.argv[1:] = ["x"] + sys.argv[1:]
running.stage(lambda *words: main(words[0]))
"""


def start(folder, until):
    (folder / "work.py").write_text(STAGE)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DVC_ROOT": str(folder)}
    return subprocess.Popen(
        [sys.executable, "work.py", str(until)], cwd=folder, env=env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def test_partial_state_survives_a_kill_and_is_removed_on_success(tmp_path):
    killed = start(tmp_path, 60)
    assert killed.stdout.readline() == "started\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert (tmp_path / "data/partial/job/x-key/state").read_text() == "half"
    assert start(tmp_path, 0).communicate()[0] == "started\ndone\n"
    assert not (tmp_path / "data/partial/job/x-key").exists()


def test_a_second_process_names_the_first_and_waits(tmp_path):
    first = start(tmp_path, "input")
    assert first.stdout.readline() == "started\n"
    second = start(tmp_path, 0)
    assert any(f"process {first.pid} is already running this" in line for line in second.stderr)
    assert first.communicate("go\n")[0] == "done\n"
    assert second.communicate()[0] == "started\ndone\n"
    assert (first.returncode, second.returncode) == (0, 0)
    assert (tmp_path / "ends").read_text() == "input0"  # the first ends before the second begins


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=["killed", "Ctrl-C"])
def test_a_stopped_stage_exits_with_one_line(tmp_path, sent):
    stopped = start(tmp_path, 60)
    stopped.stdout.readline()
    stopped.send_signal(sent)
    assert stopped.communicate()[1].endswith(": stopped; the next dvc repro resumes\n")
    assert stopped.returncode == 1


CAUSED = RuntimeError("(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT ...]")
CAUSED.__cause__ = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "error",
    [
        CAUSED,
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("(sqlite3.OperationalError) database or disk is full"),
        ValueError("other"),
    ],
)
def test_a_full_disk_is_a_one_line_error(project, monkeypatch, error):
    def main():
        raise error

    monkeypatch.setattr(sys, "argv", ["x"])
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="other"):
            running.stage(main)
    else:
        with pytest.raises(SystemExit, match=r"the disk is full .* MiB free here\): make room, then run dvc repro"):
            running.stage(main)


def test_progress_is_written_in_lines_at_intervals(capsys, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 3600.0)
    assert list(progress.bar(range(3), "packing", total=3, unit="faces")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    assert list(progress.bar(range(3), "packing", total=3, unit="faces")) == [0, 1, 2]
    with progress.meter("a.tar") as update:
        update(2_000_000, 5_000_000)
    output = capsys.readouterr().err
    assert "packing: 2 of 3 faces in 0 s" in output
    assert "a.tar: 2 of 5 MB in 0 s" in output


def test_files_are_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def fail(part):
        part.write_text("half")
        raise OSError

    with pytest.raises(OSError):
        running.replace(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    running.replace(path, lambda part: part.write_text("new"))
    assert path.read_text() == "new"


def test_a_truncated_dvc_lock_is_reported_with_its_remedy(project):
    check.main()
    (project / "dvc.lock").write_text("schema: '2.0'\nstages:\n  a: {x: [")
    with pytest.raises(SystemExit, match=r"git checkout dvc\.lock"):
        check.main()


def test_an_epochs_line_has_the_remaining_time(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    say = progress.Epochs("m", 5)
    now[0] = 110.0  # the training waited for another
    say.restart()
    for epoch in (2, 3):  # an earlier process ran the first two
        now[0] += 30.0
        say(epoch, {"epoch": epoch, "loss": 5.163, "val_age_mae": 6.19, "val_sex_accuracy": 0.9, "val_score": 0.7})
    say.restart()  # has no effect after the first epoch
    now[0] += 30.0
    say(4, {"loss": 5.0, "val_score": 0.7})
    assert capsys.readouterr().err.splitlines() == [
        "m, epoch 3 of 5: loss 5.16; val age mae 6.19, sex 0.9; 60 s left",
        "m, epoch 4 of 5: loss 5.16; val age mae 6.19, sex 0.9; 30 s left",
        "m, epoch 5 of 5: loss 5.00; val score 0.7; 0 s left",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5400, "1.5 h")])
def test_durations_are_rounded(seconds, text):
    assert progress.duration(seconds) == text


def test_only_long_lines_are_folded(capsys):
    table = "a plan\n  utkface   3 archives\n\n  wiki      1 archive"
    progress.say(table)
    assert capsys.readouterr().err == table + "\n"
    progress.say(f"counts: {', '.join(f'reason {i} of many' for i in range(9))} ({'a' * 120})")
    lines = capsys.readouterr().err.splitlines()
    assert [len(line) <= progress.WIDTH for line in lines] == [True, True, False]  # a long path stays in one piece
    assert all(line.startswith("  ") for line in lines[1:])
