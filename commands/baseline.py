"""Accept the present results as the baseline that later changes are held against; WHY says why, where it is worse."""

import argparse
import shutil

from faces import params
from faces.evaluation import predictions
from faces.gate import baselines, decisions
from faces.gate.baselines import Baseline


def main() -> None:
    """Write reports/baselines/NAME/ for every dataset of params.yaml; the measured spread of seeds stays.

    A baseline of drawn faces that no model is held against any more goes.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("why", nargs="?", default="", help="why a worse result is accepted; CI shows it")
    why = parser.parse_args().why.strip()
    found = baselines.by_name(params.load())
    for name, models in found.items():
        now = {model: predictions.read(model) for model in models}
        made = Baseline({model: predictions.scores(model).get("test", {}) for model in models}, now, accepted=why)
        try:
            old = baselines.load(name)
        except predictions.PredictionsError as error:
            print(f"{error}; its spread is lost: make seeds")
            shutil.rmtree(baselines.FOLDER / name)
            old = None
        if old is not None:
            made.seed_sd = old.seed_sd
        baselines.write(name, made)
        print(f"{baselines.FOLDER / name}: {', '.join(models)}; commit it")
    for name in decisions.removed_baselines(found):
        shutil.rmtree(baselines.FOLDER / name)
        print(f"{baselines.FOLDER / name} is removed: params.yaml has no model of this dataset")


if __name__ == "__main__":
    main()
