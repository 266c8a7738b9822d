"""Write a card for every model and dataset, no number typed by hand: reports/ and data/ -> reports/cards/."""

from pathlib import Path

from faces import params
from faces.reporting import dataset_card, model_card
from faces.runtime import progress, running


def main() -> None:
    """Write reports/cards/models/MODEL.md and reports/cards/datasets/DATASET.md."""
    p = params.load()
    out = Path("reports/cards")
    for kind in ("models", "datasets"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    for name, row in p.models.items():
        (out / "models" / f"{name}.md").write_text(model_card.model_card(name, row, p))
    for name in p.datasets:
        (out / "datasets" / f"{name}.md").write_text(dataset_card.dataset_card(name, p))
    progress.say(f"{len(p.models)} cards of models and {len(p.datasets)} of datasets: {out}")


if __name__ == "__main__":
    running.stage(main)
