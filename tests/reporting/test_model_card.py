"""Sentences of a model's card."""

import pandas as pd

from faces import params
from faces.reporting import model_card, score_sections


def test_distillation_and_nameless_people_are_named_on_a_card(project):
    row = params.load().models["utkface-cropped"]
    assert model_card.start(row, {"distillation_weight": 0.5}, 0) == "trained from scratch"
    weighted = row.model_copy(update={"options": {"weights": "imagenet"}})
    assert model_card.start(weighted, {"distillation_weight": 0.5}, 0) == "trained from the weights imagenet"
    text = "trained from scratch, distilled with a weight of 50% from 2 teachers of the same faces,"
    assert model_card.start(row, {"distillation_weight": 0.5}, 2) == text
    assert score_sections.resampled_units(pd.Series(["a", "b", "a"])) == "people"
    assert score_sections.resampled_units(pd.Series(["a", "b"])).startswith("faces")
