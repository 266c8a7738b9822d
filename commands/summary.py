"""Print the comparison of all models, the registered ones, and how to open the MLflow UI."""

import textwrap
from pathlib import Path

import pandas as pd

from commands import command_line
from faces import params
from faces.data import provenance, records
from faces.reporting import gate_page
from faces.runtime import progress
from faces.tracking import candidates, registry, store


def main() -> None:
    """Print what the pipeline wrote."""
    command_line.parser(__doc__).parse_args()
    p = params.load()
    path = Path("reports/comparison/models.csv")
    command_line.require(path.exists(), "there are no results yet: type `dvc repro` first")
    sources = {row.dataset: provenance.read(row.dataset, row.variant) for row in p.variants.values()}
    texts = dict.fromkeys(text for row in sources.values() for text in provenance.warnings(row))
    title = f"On the test faces, with {p.evaluate.confidence:.0%} intervals; MAE and RMSE in years:"
    table = pd.read_csv(path, index_col="model", keep_default_na=False).T.to_string(line_width=progress.WIDTH)
    print("", *(textwrap.fill(text, progress.WIDTH) for text in texts), "", title, table, "", sep="\n")
    fingerprints = {records.read_json(f"data/models/{name}/model.json")["fingerprint"] for name in p.models}
    for dataset, source in sources.items():
        name = provenance.store_name(dataset, source)
        client, _ = store.open_experiment(name)
        if champion := registry.version_by_alias(client, name, "champion"):
            tags = champion.tags
            about = f"{tags['model']}, {candidates.chosen_by(champion)}"
            if tags["fingerprint"] not in fingerprints:
                about += "; of an earlier run or experiment, not in the table"
            print(f"models:/{name}@champion is version {champion.version}: {about}")
    gate = Path("reports/gate/verdict.json")
    if gate.exists():
        decided = gate_page.by_model(records.read_json(gate))
        print(textwrap.fill(f"Against the committed baseline: {decided} (make gate)", progress.WIDTH))
    print("\nThe report is reports/index.md. To compare runs in MLflow's UI: make ui")


if __name__ == "__main__":
    command_line.run(main)
