"""Recipes are merged into params.yaml, and ablations of another basis are told apart."""

import pytest
import yaml

from faces import params
from faces.params import recipes


def test_an_unknown_key_is_named():
    with pytest.raises(SystemExit, match="'batch' of the recipe is not a key"):
        recipes.merge({"train": {"batch_size": 1}}, {"train": {"batch": 2}})


def test_rows_are_replaced_and_sections_merged():
    values = {"models": {"a": {}, "b": {}}, "train": {"x": 1, "y": {"z": 2, "w": 3}}, "tune": {"space": {"a": 1}}}
    recipes.merge(values, {"models": {"c": {}}, "train": {"y": {"z": 4}}, "tune": {"space": {"b": 2}}})
    assert values == {"models": {"c": {}}, "train": {"x": 1, "y": {"z": 4, "w": 3}}, "tune": {"space": {"b": 2}}}


def test_ablations_of_another_precision_or_other_settings_are_not_compared(project):
    values = yaml.safe_load(params.PATH.read_text())
    basis = recipes.basis({}, "float32", values)
    assert basis != recipes.basis({}, "bfloat16", values)
    assert basis != recipes.basis({"train.dropout": 0.9}, "float32", values)
    assert basis == recipes.basis({}, "float32", values)  # which are left as they were
