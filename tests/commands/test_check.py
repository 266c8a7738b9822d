"""`make check` and `--migrate`."""

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
        "If the row comes back, dvc repro writes them again; trained models come from DVC's cache.\n"
    )


def test_the_empty_soft_targets_of_models_without_teachers_stay(project):
    for name in ("none", "gone"):
        (project / "data/soft_targets" / name).mkdir(parents=True)
    check.remove_leftovers(params.load())
    assert [path.name for path in (project / "data/soft_targets").iterdir()] == ["none"]
