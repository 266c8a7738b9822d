"""Large packages are imported without notes and garbage collection; their errors are shown."""

import gc
import os
import signal
import subprocess
import sys

import pytest

from faces.runtime import startup
from tests.conftest import ROOT

NOTES = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795821827.896157    2434 port.cc:153] oneDNN custom operations are on. You may see ...",
    "W0000 00:00:1795821827.896157    2434 computation_placer.cc:177] computation placer already registered.",
    "2026-11-27 23:24:00.1: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized",
    "E0000 00:00:1795821827.896157    2434 cuda_dnn.cc:8310] Unable to register cuDNN factory: Attempting to ...",
)
ERRORS = (
    "E0000 00:00:1795821827.896157    2434 cuda_platform.cc:51] failed call to cuInit",
    "F0000 00:00:1795821827.896157    2434 cpu_feature_guard.cc:20] The TensorFlow library was compiled to use AVX",
    "terminate called after throwing an instance of 'std::bad_alloc'",
)


def start(folder, body):
    """Run a process that imports a module `noisy`, which writes notes and errors; returns the completed process."""
    lines = "".join(f"os.write(2, {line + chr(10)!r}.encode())\n" for line in (*NOTES, *ERRORS))
    (folder / "noisy.py").write_text(f"import os\n{lines}{body}\n")
    program = (
        "import sys\nfrom faces.runtime import startup\nstartup.speed_up_import('noisy', quiet=True)\nimport noisy\n"
    )
    program += "print('on sys.stderr', file=sys.stderr)\n"
    path = os.pathsep.join((str(folder), str(ROOT)))
    return subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )


def test_notes_are_removed_and_errors_pass(tmp_path):
    done = start(tmp_path, "value = 3")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [*ERRORS, "on sys.stderr"]


def test_a_failing_import_shows_its_traceback(tmp_path):
    done = start(tmp_path, "import no_such_library")
    assert done.returncode == 1
    assert done.stderr.startswith("\n".join(ERRORS))
    assert "Traceback" in done.stderr
    assert "ModuleNotFoundError: No module named 'no_such_library'" in done.stderr


@pytest.mark.parametrize("end", ["os.abort()", "import signal; os.kill(os.getpid(), signal.SIGSEGV)"])
def test_the_last_output_before_a_crash_is_shown(tmp_path, end):
    done = start(tmp_path, f"os.write(2, b'last words'); {end}")
    assert done.returncode in (-signal.SIGABRT, -signal.SIGSEGV)
    assert done.stderr.splitlines() == [*ERRORS, "last words"]


def test_no_garbage_is_collected_during_an_import(tmp_path):
    (tmp_path / "noisy.py").write_text("import gc\nprint(gc.isenabled())")
    for collects in ("enable", "disable"):
        program = f"import gc\ngc.{collects}()\nfrom faces.runtime import startup\nstartup.speed_up_import('noisy')\n"
        program += "import importlib.util\nimportlib.util.find_spec('noisy')\nimport noisy\nprint(gc.isenabled())\n"
        path = os.pathsep.join((str(tmp_path), str(ROOT)))
        done = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
        )
        assert done.stdout.splitlines() == ["False", str(collects == "enable")]


def test_garbage_is_collected_again_after_an_import():
    for collects in (gc.enable, gc.disable):
        collects()
        before = gc.isenabled()
        with startup.collection_paused():
            assert not gc.isenabled()
        assert gc.isenabled() == before
    gc.enable()
    assert gc.get_freeze_count()


def test_tensorflow_starts_silently_and_its_errors_are_shown():
    """Its first computation is silent too; native output and exceptions pass."""
    program = (
        "import faces, os, tensorflow as tf\n"
        "tf.constant([[1.0]]) @ [[1.0]]\n"
        "os.write(2, b'native\\n')\n"
        "tf.constant([1.0]) @ [[1.0]]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("native\nTraceback")
    assert "InvalidArgumentError" in done.stderr


def test_mlflows_server_starts_without_a_warning():
    """In a process as `mlflow ui` starts it; the .pth file of `make setup` names the warning to ignore."""
    program = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import mlflow.server.fastapi_app'], check=True)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
