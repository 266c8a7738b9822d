"""Print the comparison of all models, the registered ones, and how to open the MLflow UI."""

import json
from pathlib import Path

import pandas as pd

from faces import params
from faces.data import provenance
from faces.reporting import gate_page
from faces.runtime import progress
from faces.tracking import registry, store


def main() -> None:
    """Print what the pipeline wrote."""
    p = params.load()
    path = Path("reports/comparison/models.csv")
    if not path.exists():
        raise SystemExit("there are no results yet: type `dvc repro` first")
    print()
    sources = {row.dataset: provenance.read(row.dataset, row.variant) for row in p.variants.values()}
    for text in dict.fromkeys(text for row in sources.values() for text in provenance.warnings(row)):
        print(text)
    print(f"\nOn the test faces, with {p.evaluate.confidence:.0%} intervals; MAE and RMSE in years:")
    table = pd.read_csv(path, index_col="model", keep_default_na=False)
    print(table.T.to_string(line_width=progress.WIDTH))
    print()
    fingerprints = {json.loads(Path(f"data/models/{name}/model.json").read_text())["fingerprint"] for name in p.models}
    for dataset, source in sources.items():
        name = provenance.store_name(dataset, source)
        client, _ = store.open_experiment(name)
        champion = registry.version_by_alias(client, name, "champion")
        if champion:
            score = json.loads(champion.tags["val"])
            about = f"{champion.tags['model']}, {champion.tags['score']} {score:.4f} on validation"
            other = champion.tags["fingerprint"] not in fingerprints
            about += "; of an earlier run or experiment, not in the table" if other else ""
            print(f"models:/{name}@champion is version {champion.version}: {about}")
    gate = Path("reports/gate/verdict.json")
    if gate.exists():
        print(f"Against the committed baseline: {gate_page.summary(json.loads(gate.read_text()))} (make gate)")
    print("\nThe report is reports/index.md. To compare runs: make ui (or, with .venv activated, mlflow ui),")
    print("then open http://127.0.0.1:5000/#/experiments?workflowType=machine_learning")


if __name__ == "__main__":
    main()
