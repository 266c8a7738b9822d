"""`make check` and `--migrate`."""

import sys

import pytest

from commands import check
from faces import params


def test_outputs_of_rows_that_are_gone_are_removed(project, capsys):
    for name in ("utkface-cropped", "gone"):
        (project / "reports/models" / name).mkdir(parents=True)
        (project / "mlruns/receipts").mkdir(parents=True, exist_ok=True)
        (project / "mlruns/receipts" / f"{name}.json").write_text("{}")
    check.remove_leftovers(params.load())
    assert [path.name for path in (project / "reports/models").iterdir()] == ["utkface-cropped"]
    assert [path.name for path in (project / "mlruns/receipts").iterdir()] == ["utkface-cropped.json"]
    assert capsys.readouterr().out == (
        "params.yaml has no gone under models; removed: mlruns/receipts/gone.json, reports/models/gone\n"
        "If a row comes back, `dvc repro` writes them again; trained models come from DVC's cache.\n"
    )


def test_the_empty_soft_targets_of_models_without_teachers_stay(project):
    for name in ("none", "gone"):
        (project / "data/soft_targets" / name).mkdir(parents=True)
    check.remove_leftovers(params.load())
    assert [path.name for path in (project / "data/soft_targets").iterdir()] == ["none"]


def test_the_scripts_of_a_moved_environment_are_mended(tmp_path, capsys):
    former, place = "/old place/.venv", tmp_path / ".venv"
    (place / "bin").mkdir(parents=True)
    (place / "pyvenv.cfg").write_text(f"version = 3.11.7\ncommand = /usr/bin/python3 -m venv --clear {former}\n")
    (place / "bin/dvc").write_text(f"#!{former}/bin/python\n")
    (place / "bin/python").symlink_to(sys.executable)
    check.mend_environment(place)
    assert (place / "bin/dvc").read_text() == f"#!{place}/bin/python\n"
    assert capsys.readouterr().out == f"{place} was moved from {former}: its scripts name the new place now.\n"
    check.mend_environment(place)
    assert capsys.readouterr().out == ""


def test_a_folder_without_git_is_told_so_first(project):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit, match=r"no git repository.*`git init`"):
        patch.setattr(sys, "argv", ["check"])
        (project / "dvc.yaml").touch()
        check.main()
