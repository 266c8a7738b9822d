"""Promotion by hand: the shipped model, a version, and what is refused."""

import sys

import pytest

from commands import promote
from faces.inference.predictor import SHIPPED
from faces.tracking import candidates, model_choice, registry, store
from tests.conftest import ROOT


@pytest.fixture
def typed(tracked, project, monkeypatch):
    """A function that types the command in a project of its own that holds the shipped file."""
    (project / SHIPPED.parts[0]).symlink_to(ROOT / SHIPPED.parts[0])

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["promote", *words])
        promote.main()

    return run


def test_the_shipped_model_is_promoted_and_predicts(typed, capsys):
    typed(str(SHIPPED), "it is the published one")
    assert "models:/faces-utkface/1 is the champion now" in capsys.readouterr().out
    client = store.open_client()
    (line,) = registry.promotions(client, "faces-utkface")
    assert line.endswith("none -> version 1; by hand: it is the published one")
    chosen = model_choice.find()
    assert chosen.version == "faces-utkface/1"
    assert chosen.path.read_bytes() == (ROOT / SHIPPED).read_bytes()
    typed(str(SHIPPED.parent), "again")
    assert "is the champion already" in capsys.readouterr().out
    version = registry.version_by_alias(client, "faces-utkface", "champion")
    assert candidates.chosen_by(version) == "no score on validation"


def test_a_version_that_is_no_better_than_the_dummy_baseline_is_not_promoted(typed):
    client, version = candidates.register_shipped()
    client.set_model_version_tag(version.name, version.version, candidates.USELESS, "sex")
    with pytest.raises(SystemExit, match="is not promoted: it is no better than the dummy baseline on sex"):
        typed(f"models:/{version.name}/{version.version}", "why not")
    assert registry.version_by_alias(client, version.name, "champion") is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing", "why"], "nothing: is no model of params.yaml"),
        (["utkface-cropped", "why"], "has no results yet"),
        (["utkface-cropped", " "], "a reason is needed"),
        (["models:/faces-utkface/7", "why"], "is not registered"),
    ],
)
def test_what_cannot_be_promoted_is_said(typed, capsys, words, message):
    with pytest.raises(SystemExit) as stopped:
        typed(*words)
    assert message in f"{stopped.value} {capsys.readouterr().err}"
