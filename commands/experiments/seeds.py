"""Train every model with several seeds and write how much its scores differ: what the gate's margins rest on.

It writes reports/baselines/NAME/spread.csv; or the predictions, where --keep names a folder. Teachers keep their own
seeds, so that what others would change is not in the spread of a distilled model.
"""

import argparse
import shutil
from pathlib import Path

import pandas as pd

from faces import params
from faces.evaluation import predictions
from faces.gate import baselines, paired, seed_spread
from faces.runtime import dvc_experiments, progress

SEEDS = "seeds.csv.gz"


def main() -> None:
    """Run one DVC experiment a seed; those that ran before cost nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=5, help="seeds to train with; 5")
    parser.add_argument("--first", type=int, default=0, help="how many seeds after train.seed to skip; 0")
    parser.add_argument("--keep", type=Path, help="write the predictions to KEEP/NAME/, with the baseline")
    parser.add_argument("--models", nargs="+", help="models of params.yaml to train; all unless given")
    words = parser.parse_args()
    if words.count < 2:
        parser.error("a spread needs two seeds at least")
    p = params.load()
    wanted = words.models or list(p.models)
    seeds = after(p, words.first + words.count)[words.first :]
    for number, seed in enumerate(seeds):
        progress.say(f"seed {seed}, {number + 1} of {len(seeds)}")
        dvc_experiments.run(f"seed-{seed}", settings(p, wanted, seed), [f"evaluate@{model}" for model in wanted])
    for name, models in baselines.by_name(p).items():
        said = {model: {seed: read(seed, model) for seed in seeds} for model in models if model in wanted}
        if not said:
            continue
        if words.keep:
            keep(said, name, words.keep / name)
            continue
        found = baselines.load(name)
        if found is None:
            raise SystemExit(f"there is no baseline {name} yet: `make baseline` makes it")
        rows = [
            seed_spread.sd_over_seeds(list(each.values()), p.evaluate.min_n).assign(model=model)
            for model, each in said.items()
        ]
        kept = found.seed_sd[~found.seed_sd["model"].isin(said)]
        found.seed_sd = pd.concat([kept, *rows], ignore_index=True)[
            ["model", "target", "slice", "n", "seeds", "sd"]
        ].round(6)
        baselines.write(name, found)
        print(found.seed_sd[found.seed_sd["slice"] == paired.ALL].to_markdown(index=False))
        print(f"{baselines.FOLDER / name / baselines.SEED_SD}: commit it")


def after(p: params.Params, count: int) -> list[int]:
    """So many seeds, the first ones after that of params.yaml."""
    return [p.train.seed + 1 + i for i in range(count)]


def settings(p: params.Params, wanted: list[str], seed: int) -> dict[str, int]:
    """Keys of params.yaml that give models a seed: that of all, and that of each row that has one of its own."""
    own = {f"models.{name}.train.seed": seed for name in wanted if "seed" in p.models[name].train}
    return {"train.seed": seed, **own}


def read(seed: int, model: str) -> pd.DataFrame:
    """Test predictions of a model trained with a seed."""
    rows = predictions.parse(
        dvc_experiments.read(f"seed-{seed}", predictions.FOLDER / model / "predictions.csv").encode()
    )
    return predictions.checked(rows[rows["part"] == "test"], f"seed {seed}, {model}")


def keep(said: dict[str, dict[int, pd.DataFrame]], name: str, folder: Path) -> None:
    """Write predictions {model: {seed: rows}} as baselines.unpack reads them, beside a copy of the baseline."""
    shutil.copytree(baselines.FOLDER / name, folder, dirs_exist_ok=True)
    rows = {f"{model} seed {seed}": table for model, each in said.items() for seed, table in each.items()}
    (folder / SEEDS).write_bytes(baselines.pack(rows))


if __name__ == "__main__":
    main()
