"""Cards are what Hugging Face reads, and hold the pipeline's numbers."""

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

from faces.reporting import cards, markdown, score_sections
from tests.conftest import ROOT

ABOUT = {"targets": ["age", "sex"], "dataset": "utkface"}


def test_front_matter_is_read_back_as_it_was_meant():
    numbers = {"age_mae": 4.5, "sex_accuracy": 0.93, "age_bias": 1.0}
    text = cards.page(cards.model_data("m", ABOUT, "utkface-sample", "ab" * 32, numbers, "for research only"), ["# m"])
    card = ModelCard(text)
    result = {(r.dataset_name, r.metric_name): r.metric_value for r in card.data.eval_results}
    assert result == {("utkface-sample", "age mae"): 4.5, ("utkface-sample", "sex accuracy"): 0.93}
    assert card.data.model_name == "m"
    front = yaml.safe_load(text.split("---")[1])
    assert front["model-index"][0]["results"][0]["dataset"]["split"] == "test"
    assert (front["license"], front["license_name"]) == ("other", "research-only")


def test_a_model_without_test_scores_has_a_card_without_an_index():
    text = cards.page(cards.model_data("m", ABOUT, "utkface", "ab" * 32, {}, "your own"), ["# m"])
    assert not ModelCard(text).data.eval_results


@pytest.mark.parametrize("path", sorted(ROOT.glob("reports/cards/*/*.md")), ids=lambda path: path.stem)
def test_committed_cards_are_valid_and_speak_of_sample_faces(path):
    text = path.read_text()
    kind = ModelCard if path.parent.name == "models" else DatasetCard
    assert kind(text).data.to_dict()["license"] == "other"
    assert "Sample: these are synthetic faces" in text
    assert "nan" not in text.split()


def test_a_row_of_too_few_faces_has_no_value():
    row = {"value": float("nan"), "low": float("nan"), "high": float("nan")}
    assert markdown.interval(row) == "n too small"
    assert markdown.interval({"value": 4.126, "low": 4.0, "high": 4.3}, 2) == "4.13 [4.00, 4.30]"


def test_scores_without_leaked_faces_are_named():
    summary = {
        "leaked": 0,
        "test_faces": 1500,
        "other_faces": 9,
        "looked_for_by": ["hash", "embedding"],
        "closest": 0.7,
    }
    text = score_sections.leaks(summary)
    assert text.startswith("0 of 1,500 test faces have a copy of their photo among the 9 faces of the other parts.")
    assert "Candidates are found by hash and embedding, and" in text
    assert text.endswith("the highest among those that are no copies is 0.70.")
    summary |= {"leaked": 2, "scores": {"age_mae": 5.0}, "scores_without_leaked": {"age_mae": 5.25}}
    assert score_sections.leaks(summary).endswith(" Scores without these faces: age mae 5.25 (with them: 5.00).")
