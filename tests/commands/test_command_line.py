"""Every command has help, which does nothing else, and ends without a traceback where its output is not read."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from commands import command_line
from faces.tracking import store
from tests.conftest import ROOT

COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "commands").rglob("*.py")
    if 'if __name__ == "__main__":' in path.read_text()
)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_printed_and_nothing_is_done(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # without params.yaml, which a command would miss
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    printed, errors = capsys.readouterr()
    assert ended.value.code == 0
    assert printed.startswith(f"usage: python -m {name} [-h]")
    assert len(printed.split("\n\n")[1]) > 40  # what the command does
    assert errors == ""
    assert list(tmp_path.iterdir()) == []


def test_all_commands_are_known():
    assert {"commands.gate", "commands.experiments.sweep", "commands.publish", "commands.publish.recipe"} <= {*COMMANDS}
    assert len(COMMANDS) == 25
    for path in (ROOT / "commands").rglob("*.py"):
        assert 'if __name__ == "__main__":\n    main()' not in path.read_text(), path


@pytest.mark.parametrize("lines", [3, 100_000])
def test_a_reader_that_leaves_is_no_error(lines, monkeypatch):
    """Few lines are written when the command has ended, many while it runs."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    code = f"from commands import command_line\ndef main():\n    for i in range({lines}): print(i)\n"
    code += "    raise SystemExit('a message')\ncommand_line.run(main)"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        errors = process.stderr.read()
    few = lines == 3
    assert errors == ("a message\n" if few else "")
    assert process.returncode == (1 if few else 141)


def test_an_interrupt_is_no_error_and_a_status_is_kept():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="130"):
        command_line.run(interrupted)
    with pytest.raises(SystemExit, match="7"):
        command_line.run(lambda: sys.exit(7))


def test_a_missing_file_of_a_stage_is_named_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"^reports/gate/verdict.json is missing: type `dvc repro` first$"):
        command_line.run(lambda: Path("reports/gate/verdict.json").read_text())
    with pytest.raises(FileNotFoundError):
        command_line.run(lambda: Path("another").read_text())


def test_a_store_that_cannot_be_used_is_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "mlflow.db").write_text("text")
    with pytest.raises(SystemExit, match=r"^MLflow's store cannot be used: file is not a database; move mlflow.db and"):
        command_line.run(lambda: store.relocate(tmp_path))

    def refused():
        raise MlflowException("Model Version not found")

    with pytest.raises(SystemExit, match=r"^MLflow's store cannot be used: Model Version not found$"):
        command_line.run(refused)
    with pytest.raises(ValueError, match="a fault of ours"):
        command_line.run(lambda: (_ for _ in ()).throw(ValueError("a fault of ours")))
