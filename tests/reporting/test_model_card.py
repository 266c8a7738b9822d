"""Sentences of a model's card."""

import pandas as pd

from faces import params
from faces.reporting import model_card, score_sections

ABOUT = {"parameters": 1234, "image_size": 96, "recipe": {"train": {"distillation_weight": 0.5}}}


def test_distillation_and_initial_weights_are_named_on_a_card(project):
    row = params.load().models["utkface-cropped"]
    text = (
        "Estimates age, sex, ethnicity from a face. A residual network of 1,234 parameters, trained with Keras from "
        "scratch on 5,000 cropped faces of utkface. It takes images of 96 x 96 pixels, and is exported as ONNX."
    )
    assert model_card.introduction(row, ABOUT, 5000, 0) == text
    distilled = f"{text} It is distilled with a weight of 50% from 2 teachers of the same faces."
    assert model_card.introduction(row, ABOUT, 5000, 2) == distilled
    weighted = row.model_copy(update={"options": {"weights": "imagenet"}})
    assert "trained with Keras from imagenet weights on" in model_card.introduction(weighted, ABOUT, 5000, 0)


def test_people_without_names_are_resampled_as_faces():
    assert score_sections.resampled_units(pd.Series(["a", "b", "a"])) == "people"
    assert score_sections.resampled_units(pd.Series(["a", "b"])).startswith("faces")
