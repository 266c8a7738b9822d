"""Accept the present results as the baseline that later changes are compared with; WHY is the reason, where worse.

It writes reports/baselines/NAME/ for every dataset of params.yaml, and keeps the measured spread of seeds there.
Baselines of synthetic faces that no model is compared with any more are removed.
"""

import shutil
from pathlib import Path

from commands import command_line
from faces import params
from faces.data import records
from faces.evaluation import predictions
from faces.gate import baselines, decisions


def main() -> None:
    """Write the baselines."""
    parser = command_line.parser(__doc__)
    parser.add_argument("why", nargs="?", default="", help="reason for accepting a worse result; CI shows it")
    why = parser.parse_args().why.strip()
    by_name = baselines.by_name(params.load())
    worse = {} if why else unexplained(Path("reports/gate/verdict.json"))
    command_line.require(
        not worse,
        f"{', '.join(f'{model} {verdict}' for model, verdict in worse.items())}: see reports/gate/table.md; "
        '`make baseline WHY="..."` accepts it, with the reason that CI shows',
    )
    for name, models in by_name.items():
        baseline = baselines.Baseline(
            metrics={model: predictions.scores(model).get("test", {}) for model in models},
            predictions={model: predictions.read(model) for model in models},
            accepted=why,
            recipes={
                model: baselines.recipe_digest(records.read_json(f"data/models/{model}/model.json")) for model in models
            },
        )
        try:
            if old := baselines.load(name):
                baseline.seed_sd = old.seed_sd
        except predictions.PredictionsError as error:
            print(f"{error}; its spread of seeds is removed: `make seeds` measures it again")
            shutil.rmtree(baselines.FOLDER / name)
        baselines.write(name, baseline)
        print(f"{baselines.FOLDER / name}: {', '.join(models)}; commit it")
    for name in decisions.removed_baselines(by_name):
        shutil.rmtree(baselines.FOLDER / name)
        print(f"{baselines.FOLDER / name} is removed: params.yaml has no model of this dataset")


def unexplained(path: Path) -> dict[str, str]:
    """Verdicts of the gate, by model, that a new baseline would hide; path: of verdict.json."""
    kinds = (decisions.REGRESSED, decisions.REMOVED, decisions.OTHER_FACES)
    return {
        model: row["verdict"]
        for judged in (records.read_json(path) if path.exists() else {}).values()
        for model, row in judged["models"].items()
        if row["verdict"] in kinds
    }


if __name__ == "__main__":
    command_line.run(main)
