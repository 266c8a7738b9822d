"""Every stage killed, starved of disk, run twice at once: running again ends in the same bytes. Minutes long.

`pytest -s` shows the table of faults.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from tests.data.test_tables import CLASSES, COLUMNS, photos
from tests.stages.test_pipeline import clone, dvc, runs

pytestmark = pytest.mark.slow
STAGES = (
    "download@utkface-cropped", "parse_labels@utkface", "convert_mat@wiki", "read_table@mine", "pack@utkface-cropped",
    "clean@utkface",
    "split@utkface", "tune@utkface-cropped", "train@utkface-cropped", "calibrate@utkface-cropped",
    "evaluate@utkface-cropped", "audit@utkface", "compare",
    "gate", "log@utkface-cropped", "register", "report",
)  # fmt: skip
FAULTS = ("killed with its group", "dvc killed alone", "disk full", "two at once")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A clone that ran through, on a small disk of its own where this process may mount one; and what it gave."""
    place = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=900m", "tmpfs", str(place)]
    mounted = sys.platform == "linux" and not subprocess.run(mount, check=False, capture_output=True).returncode
    folder = clone(place / "faces", trials=1)
    add_table(folder, place / "mine")
    dvc(folder, "repro")
    yield folder, outcome(folder), mounted
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=False)


def add_table(folder, place):
    """A table of one's own as one more dataset of a clone."""
    rows = photos(place, 40)
    pd.DataFrame(rows).to_csv(place / "labels.csv", index=False)
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["datasets"].append("mine")
    values["tables"] = {"mine": {"labels": str(place / "labels.csv"), "columns": COLUMNS, "classes": CLASSES}}
    row = {"dataset": "mine", "variant": "cropped", "reader": "table", "images": str(place / "photos")}
    values["variants"]["mine-cropped"] = row
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def forget(folder, stage):
    """Make a stage one that never ran: no outputs, no entry in the lock, nothing to restore it from; its outputs."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text())
    outs = [out["path"] for out in lock["stages"].pop(stage)["outs"]]
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    for path in [".dvc/cache/runs", *outs]:
        subprocess.run(["rm", "-rf", path], cwd=folder, check=True)
    return [folder / path for path in outs]


def outcome(folder):
    """The stages of dvc.lock with their checksums, bytes of the reports, and the names of the runs."""
    reports = {str(p.relative_to(folder)): p.read_bytes() for p in (folder / "reports").rglob("*") if p.is_file()}
    return yaml.safe_load((folder / "dvc.lock").read_text())["stages"], reports, runs(folder)


def start(folder, stage):
    """Start a stage alone, in a process group of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--single-item", stage],
        cwd=folder, env={**os.environ, "PATH": path}, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip


def process_of(started, stage, patience=60):
    """The Python process of a stage, as soon as the dvc that was started has started it."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        for child in psutil.Process(started.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if f"stages.{stage.split('@')[0]}" in child.cmdline() and "python" in child.name():
                    return child
    raise AssertionError(f"{stage} did not start")


def in_the_midst(started, stage, folder, outs):
    """The process of a stage once it is at its work: in its first epoch, or when its first output appears."""
    name, _, model = stage.partition("@")
    child = process_of(started, stage)
    if name in ("tune", "train"):
        while not any((folder / "data/partial" / name).glob(f"{model}-*")):
            assert alive(child)
            time.sleep(0.01)
        time.sleep(2)
        assert alive(child)
        return child
    while alive(child) and not any(out.exists() for out in outs):
        time.sleep(0.001)
    return child


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_outlives(whole, stage, fault):
    folder, before, mounted = whole
    outs = forget(folder, stage)
    if fault == "disk full":
        if not mounted:
            pytest.skip("no right to mount a small disk")
        ballast = [fill(folder.parent / "ballast", left=256 << 10)]
        started = start(folder, stage)
        process_of(started, stage)
        ballast.append(fill(folder.parent / "last"))
        predict = started.communicate()[0]
        for path in ballast:
            path.unlink()
        assert started.returncode
    elif fault == "two at once":
        first = start(folder, stage)
        child = process_of(first, stage)
        child.suspend()
        second = start(folder, stage)
        predict = second.communicate()[0]
        child.resume()
        first.communicate()
        assert (first.returncode, second.returncode) == (0, 255)
        assert "is busy" in predict
    else:
        started = start(folder, stage)
        child = in_the_midst(started, stage, folder, outs)
        if fault == "dvc killed alone":
            os.kill(started.pid, signal.SIGKILL)
        else:
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        time.sleep(0.3)
        predict = f"the stage {'went on' if alive(child) else 'was gone'}"
    check = [sys.executable, "-m", "commands.check"]  # as `make repro` does
    mended = subprocess.run(check, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    again = dvc(folder, "repro")
    waited = "is already running this" in again
    message = f"{gist(predict)} | {'waited for the first; ' if waited else ''}{ran(again)}"
    message += f"; {mended}" if mended else ""
    sys.stdout.write(f"\n| {stage} | {fault} | {message} |\n")
    assert outcome(folder) == before
    assert (f"Running stage '{stage}'" in again) == (fault != "two at once")


def alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def fill(path, left=0):
    """Fill the disk that a path is on but for some bytes, with a file."""
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(64 << 10))
    os.truncate(path, path.stat().st_size - left)
    return path


def gist(predict):
    """What a person reads, in a line."""
    lines = [
        line.strip() for line in predict.splitlines() if re.search(r"ERROR|full|space|busy|went on|was gone", line)
    ]
    message = [line for line in lines if "the disk is full" in line] or lines
    return message[0][:200] if message else "nothing"


def ran(predict):
    """Stages that the next repro ran."""
    names = re.findall(r"Running stage '(.*?)'", predict)
    return "ran " + ", ".join(names) if names else "ran nothing"
