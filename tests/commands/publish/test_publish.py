"""`make publish`: committed pages are what the code writes of the tables beside them."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from commands.publish import __main__ as publish
from commands.publish import model_files, page
from faces.reporting import published
from tests.conftest import ROOT


def test_what_is_committed_is_what_the_code_writes():
    """Neither a page nor the README's table was edited by hand, or left behind."""
    for path in published.FOLDER.glob(f"*/{published.ABOUT}"):
        folder, about = path.parent, json.loads(path.read_text())
        rows = pd.read_csv(folder / published.RESULTS)
        assert (folder / "README.md").read_text() == page.render(folder.name, rows, about, folder)
        section = page.readme_section(rows, about)
        assert page.replaced(page.README.read_text(), folder.name, section) == page.README.read_text()
        for file, size in about["cost"]["files"].items():
            assert (model_files.FOLDER / folder.name / file).stat().st_size == size


def test_a_page_shows_a_table_that_came_after_its_run(tmp_path, monkeypatch):
    folder = tmp_path / "published" / "utkface"
    shutil.copytree(published.FOLDER / "utkface", folder)
    shutil.copy(page.README, tmp_path / "README.md")
    monkeypatch.setattr(published, "FOLDER", folder.parent)
    monkeypatch.setattr(page, "README", tmp_path / "README.md")
    digest = json.loads((folder / published.ABOUT).read_text())["digests"][published.TEST_FACES][:8]
    pd.DataFrame({"model": ["a new one"], "split": digest}).to_csv(folder / published.PEERS, index=False)
    publish.rewrite("utkface")
    assert "| a new one |" in (folder / "README.md").read_text()
    with pytest.raises(SystemExit, match="make publish RECIPE=another"):
        publish.rewrite("another")


def test_tables_and_plots_of_a_model_take_the_place_of_older_plots(tmp_path):
    (tmp_path / "old.png").write_bytes(b"")
    (tmp_path / "results.csv").write_bytes(b"")
    publish.copy_reports("utkface-cropped", tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    assert {"groups.csv", "gaps.csv", "history.csv", "results.csv", "learning_curves.png", "age_mae.png"} <= files
    assert not {"old.png", "gate.png"} & files


def test_the_package_is_a_command():
    command = [sys.executable, "-m", "commands.publish", "--help"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for option in ("usage: python -m commands.publish", "--check", "--faces", "--page"):
        assert option in text
