"""Write the index page, the cards and the plots of reports/, from the files of the pipeline."""

from pathlib import Path

import pandas as pd

from faces import params
from faces.reporting import dataset_card, index_page, model_card, plots
from faces.runtime import progress, running


def main() -> None:
    """Write reports/plots/, reports/cards/models/MODEL.md, reports/cards/datasets/DATASET.md and reports/index.md."""
    p = params.load()
    out = Path("reports")
    for kind in ("models", "datasets"):
        (out / "cards" / kind).mkdir(parents=True, exist_ok=True)
    for name, row in p.models.items():
        plots.draw_model(name, p.calibrate.confidence, out / "plots" / name)
        (out / "cards/models" / f"{name}.md").write_text(model_card.model_card(name, row, p))
    for path in sorted((out / "comparison").glob("*_against_*.csv")):
        figure = plots.differences(pd.read_csv(path), *path.stem.split("_against_"))
        plots.save(figure, out / "plots" / f"{path.stem}.png")
    for name in p.datasets:
        (out / "cards/datasets" / f"{name}.md").write_text(dataset_card.dataset_card(name, p))
    (out / "index.md").write_text(index_page.page(p))
    progress.say(f"{len(p.models)} cards of models and {len(p.datasets)} of datasets; start at {out / 'index.md'}")


if __name__ == "__main__":
    running.stage(main)
