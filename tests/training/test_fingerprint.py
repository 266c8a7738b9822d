"""The key of a training depends on its code, params and data alone."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from faces import params
from faces.training import fingerprint


@pytest.fixture
def data(project):
    """Split and pack of the default model, and one file more."""
    row = params.load().models["utkface-cropped"]
    files = [Path(f"data/splits/{row.dataset}.csv"), Path(f"data/packs/{row.dataset}/{row.variant}/pack.json")]
    for path in (*files, Path("extra.json")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("as it was")
    return files


def key(stage="train", name="m", values=("a",), files=("extra.json",), rows=None, **options):
    rows = rows or [params.load().models["utkface-cropped"].model_copy(update=options)]
    return fingerprint.key(stage, name, rows, values, [Path(file) for file in files])


@pytest.fixture
def loaded(monkeypatch, tmp_path):
    """loaded(name, text) loads a module that is a file of that text."""

    def load(name, text):
        module = ModuleType(name)
        path = tmp_path / f"{name.rpartition('.')[2]}.py"
        path.write_text(text)
        module.__file__ = str(path)
        monkeypatch.setitem(sys.modules, name, module)

    return load


def test_a_key_is_16_digits_and_the_same_for_the_same(data):
    assert key() == key()
    assert len(key()) == 16
    assert int(key(), 16)


def test_stage_name_and_rows_are_in_the_key(data):
    row = params.load().models["utkface-cropped"]
    same = (key(), key(rows=[row]))
    others = [
        key(stage="tune"),
        key(name="n"),
        key(options={"widths": [4]}),
        key(targets=["age"]),
        key(rows=[row, row]),
    ]
    assert same[0] == same[1]
    assert key(options={"widths": [4], "blocks": [1]}) == key(options={"blocks": [1], "widths": [4]})
    assert len({same[0], *others}) == 6


def test_settings_the_stage_s_code_and_packages_are_in_the_key(data, tmp_path, monkeypatch):
    before = key()
    assert key(values=["b"]) != before
    (tmp_path / "train.py").write_text("x = 1")
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "STAGES", tmp_path)
        assert key() != before
    version = fingerprint.importlib.metadata.version
    monkeypatch.setattr(
        fingerprint.importlib.metadata, "version", lambda name: version(name) + (name == "keras") * ".1"
    )
    assert key() != before


@pytest.mark.parametrize("which", [0, 1, 2])
def test_every_data_file_is_in_the_key(data, which):
    before = key()
    [*data, Path("extra.json")][which].write_text("changed")
    assert key() != before


def test_data_of_every_row_is_in_the_key(data):
    row = params.load().models["utkface-cropped"]
    other = row.model_copy(update={"dataset": "wiki"})
    for path in ("data/splits/wiki.csv", "data/packs/wiki/cropped/pack.json"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("as it was")
    before = key(rows=[row, other])
    Path("data/packs/wiki/cropped/pack.json").write_text("changed")
    assert key(rows=[row, other]) != before
    Path("data/packs/wiki/cropped/pack.json").write_text("as it was")
    assert key(rows=[row, other]) == before


def test_files_that_are_not_there_are_an_error(data):
    with pytest.raises(FileNotFoundError):
        key(files=["none.json"])


def test_the_folder_is_not_in_the_key(data, tmp_path_factory):
    outside = tmp_path_factory.mktemp("elsewhere") / "extra.json"
    outside.write_text("as it was")
    assert key(files=[outside]) == key()


def test_loaded_code_is_in_the_key(data, loaded):
    before = key()
    loaded("faces.made_here", "x = 1")
    once = key()
    loaded("faces.made_here", "x = 2")
    assert len({before, once, key()}) == 3
    loaded("faces.made_here", "x = 1")
    assert key() == once


def test_other_code_and_code_that_changes_no_result_are_not_in_the_key(data, loaded):
    before = key()
    for name in (
        "elsewhere.made_here",
        "stageslike",
        *(name[:-1] for name in fingerprint.IGNORED),
        "faces.runtime.progress",
    ):
        loaded(name.removesuffix("."), "x = 1")
        assert key() == before, name


def test_the_network_is_loaded_for_its_code(data, monkeypatch):
    before = key(network="joshi")
    monkeypatch.delitem(sys.modules, "faces.networks.joshi")
    assert key(network="joshi") == before
    assert "faces.networks.joshi" in sys.modules


def test_the_key_does_not_depend_on_the_order_of_imports(data, loaded, monkeypatch):
    loaded("faces.made_one", "x = 1")
    loaded("faces.made_two", "x = 2")
    before = key()
    for name in ("faces.made_one", "faces.made_two"):
        module = sys.modules[name]
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, name, module)
        assert key() == before
