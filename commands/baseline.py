"""Accept the present results as the baseline that later changes are compared with; WHY is the reason, where worse."""

import argparse
import shutil

from faces import params
from faces.evaluation import predictions
from faces.gate import baselines, decisions
from faces.gate.baselines import Baseline


def main() -> None:
    """Write reports/baselines/NAME/ for every dataset of params.yaml, and keep its measured spread of seeds.

    Baselines of synthetic faces that no model is compared with any more are removed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("why", nargs="?", default="", help="reason for accepting a worse result; CI shows it")
    why = parser.parse_args().why.strip()
    by_name = baselines.by_name(params.load())
    for name, models in by_name.items():
        tables = {model: predictions.read(model) for model in models}
        scores = {model: predictions.scores(model).get("test", {}) for model in models}
        baseline = Baseline(scores, tables, accepted=why)
        try:
            old = baselines.load(name)
        except predictions.PredictionsError as error:
            print(f"{error}; its spread of seeds is removed: `make seeds` measures it again")
            shutil.rmtree(baselines.FOLDER / name)
            old = None
        if old is not None:
            baseline.seed_sd = old.seed_sd
        baselines.write(name, baseline)
        print(f"{baselines.FOLDER / name}: {', '.join(models)}; commit it")
    for name in decisions.removed_baselines(by_name):
        shutil.rmtree(baselines.FOLDER / name)
        print(f"{baselines.FOLDER / name} is removed: params.yaml has no model of this dataset")


if __name__ == "__main__":
    main()
