"""Recipes fit params.yaml, and what levers gain is told against their base."""

import re

import pytest
import yaml

from commands.experiments import ablations
from commands.publish import recipe
from faces import params
from tests.conftest import ROOT

RECIPES = [path.stem for path in sorted((ROOT / "recipes").glob("*.yaml")) if "." not in path.stem]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_and_leaves_comments(project, monkeypatch, name):
    monkeypatch.setattr(recipe, "FOLDER", ROOT / "recipes")
    monkeypatch.setattr("sys.argv", ["recipe", name, "--source", "/data/faces"])
    before = params.PATH.read_text()
    recipe.main()
    after = params.PATH.read_text()
    wanted = yaml.safe_load((ROOT / f"recipes/{name}.yaml").read_text())
    p = params.load()
    assert p.data.source == "/data/faces"
    assert set(p.models) == set(wanted["models"])
    assert {"# faces", "# AdamW, matrices only"} <= set(re.findall(r"#.*", after))
    assert "  train_minutes: null " in before
    assert "  train_minutes: null " in after


def test_a_strange_key_is_told():
    with pytest.raises(SystemExit, match="'batch' of the recipe is not a key"):
        recipe.merge({"train": {"batch_size": 1}}, {"train": {"batch": 2}})


def test_rows_are_replaced_and_sections_merged():
    values = {"models": {"a": {}, "b": {}}, "train": {"x": 1, "y": {"z": 2, "w": 3}}, "tune": {"space": {"a": 1}}}
    recipe.merge(values, {"models": {"c": {}}, "train": {"y": {"z": 4}}, "tune": {"space": {"b": 2}}})
    assert values == {"models": {"c": {}}, "train": {"x": 1, "y": {"z": 4, "w": 3}}, "tune": {"space": {"b": 2}}}


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.levers.yaml")), ids=lambda path: path.stem)
def test_levers_change_keys_that_are_there(project, monkeypatch, path):
    monkeypatch.setattr(recipe, "FOLDER", ROOT / "recipes")
    monkeypatch.setattr("sys.argv", ["recipe", path.name.removesuffix(".levers.yaml")])
    recipe.main()
    listed, values = yaml.safe_load(path.read_text()), yaml.safe_load(params.PATH.read_text())
    assert listed["levers"]["base"] == {}
    assert listed["model"] in values["models"]
    for changes in (listed["short"], *listed["levers"].values()):
        for key in changes:
            at = values
            for part in key.split(".")[:-1] if key.startswith("+") else key.split("."):
                part = part.removeprefix("+")
                assert part in at, key
                at = at[part]


def test_gains_by_hand(tmp_path):
    path = tmp_path / "levers.csv"
    base = {
        "lever": "base",
        "basis": "01234567",  # digits alone, as one in forty digests is
        "changed": "{}",
        "core_minutes": 20.0,
        "score": 0.5,
        "age_mae": 5.0,
        "sex_accuracy": 0.9,
    }
    ablations.with_gains(ablations.add(path, base)).to_csv(path, index=False)
    found = ablations.with_gains(ablations.add(path, base | {"lever": "wide", "age_mae": 4.5, "sex_accuracy": 0.89}))
    wide = found.set_index("lever").loc["wide"]
    assert wide[["age_mae_gain", "sex_accuracy_gain", "score_gain"]].tolist() == pytest.approx([0.5, -0.01, 0.0])
    found.to_csv(path, index=False)
    again = ablations.add(path, base | {"core_minutes": float("nan")})
    assert again.set_index("lever").loc["base", "core_minutes"] == 20
    assert len(again) == 2
    assert ablations.add(path, base | {"basis": "y"})["lever"].tolist() == ["base"]  # of another recipe


def test_levers_of_another_precision_are_not_compared(project):
    values = yaml.safe_load(params.PATH.read_text())
    told = ablations.basis({}, "float32", values)
    assert told != ablations.basis({}, "bfloat16", values)
    assert told != ablations.basis({"train.dropout": 0.9}, "float32", values)
    assert told == ablations.basis({}, "float32", values)  # which are left as they were


def test_a_recipe_leaves_no_trace_of_another_and_loses_no_change(project, monkeypatch):
    monkeypatch.setattr(recipe, "FOLDER", ROOT / "recipes")
    plain = params.PATH.read_text()
    monkeypatch.setattr(recipe, "committed", lambda: plain)

    def put(name):
        monkeypatch.setattr("sys.argv", ["recipe", name, "--source", "/data/faces"])
        recipe.main()
        return params.PATH.read_text()

    first = put("peers")
    assert recipe.same(yaml.safe_load(first), recipe.expected("peers"))
    assert not recipe.same(yaml.safe_load(first), recipe.expected("utkface"))
    put("utkface")
    assert put("peers") == first
    params.PATH.write_text(first.replace("batch_size: 128", "batch_size: 64"))
    with pytest.raises(SystemExit, match="changes of its own"):
        put("utkface")
