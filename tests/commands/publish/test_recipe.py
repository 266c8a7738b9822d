"""`make recipe`: recipes, and the ablations of one, fit params.yaml."""

import re

import pytest
import yaml

from commands.publish import recipe
from faces import params
from faces.params import recipes
from tests.conftest import ROOT

RECIPES = [path.stem for path in sorted((ROOT / "recipes").glob("*.yaml")) if "." not in path.stem]


@pytest.fixture
def put(project, monkeypatch):
    """put(NAME) writes a recipe into the project's params.yaml and returns its text."""
    monkeypatch.setattr(recipes, "FOLDER", ROOT / "recipes")

    def run(name):
        monkeypatch.setattr("sys.argv", ["recipe", name, "--source", "/data/faces"])
        recipe.main()
        return params.PATH.read_text()

    return run


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_and_leaves_comments(put, name):
    before = params.PATH.read_text()
    after = put(name)
    wanted = yaml.safe_load((ROOT / f"recipes/{name}.yaml").read_text())
    p = params.load()
    assert p.data.source == "/data/faces"
    assert set(p.models) == set(wanted["models"])
    assert {"# faces", "# of AdamW, on matrices only"} <= set(re.findall(r"#.*", after))
    assert "  train_minutes: null " in before
    assert "  train_minutes: null " in after


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.ablations.yaml")), ids=lambda path: path.stem)
def test_ablations_change_keys_that_are_there(put, path):
    name = path.name.removesuffix(".ablations.yaml")
    listed, values = recipes.ablations(name), yaml.safe_load(put(name))
    assert listed["ablations"]["base"] == {}
    assert listed["model"] in values["models"]
    for changes in (listed["short"], *listed["ablations"].values()):
        for key in changes:
            at = values
            for part in key.split(".")[:-1] if key.startswith("+") else key.split("."):
                part = part.removeprefix("+")
                assert part in at, key
                at = at[part]


def test_a_recipe_leaves_no_trace_of_another_and_loses_no_change(put, monkeypatch):
    plain = params.PATH.read_text()
    monkeypatch.setattr(recipes, "committed", lambda: plain)
    first = put("peers")
    assert recipes.same(yaml.safe_load(first), recipes.expected("peers"))
    assert not recipes.same(yaml.safe_load(first), recipes.expected("utkface"))
    put("utkface")
    assert put("peers") == first
    params.PATH.write_text(first.replace("batch_size: 128", "batch_size: 64"))
    with pytest.raises(SystemExit, match="changes of its own"):
        put("utkface")
