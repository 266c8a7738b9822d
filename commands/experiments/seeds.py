"""Train every model with several seeds and write how much its scores differ, which sets the gate's margins.

It writes reports/baselines/NAME/spread.csv, or, with --keep, the predictions to a folder. Teachers keep their own
seeds, so the spread of a distilled model is that of the student alone.
"""

import argparse
import shutil
from pathlib import Path

import pandas as pd

from commands.experiments import variations
from faces import params
from faces.evaluation import predictions
from faces.gate import baselines, paired, seed_spread
from faces.runtime import dvc_experiments, progress

SEEDS = "seeds.csv.gz"


def main() -> None:
    """Run one DVC experiment a seed; DVC restores those that ran before from its cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=5, help="number of seeds; 5")
    parser.add_argument("--first", type=int, default=0, help="number of seeds after `seed` to skip; 0")
    parser.add_argument("--keep", type=Path, help="write the predictions to KEEP/NAME/, with the baseline")
    parser.add_argument("--models", nargs="+", help="models of params.yaml to train; all unless given")
    args = parser.parse_args()
    if args.count < 2:
        parser.error(f"{args.count}: a standard deviation needs at least two seeds")
    p = params.load()
    wanted = args.models or list(p.models)
    seeds = variations.seed_numbers(p, args.first + args.count)[args.first :]
    for number, seed in enumerate(seeds):
        progress.say(f"seed {seed}, {number + 1} of {len(seeds)}")
        settings = variations.seed_settings(p, wanted, seed)
        dvc_experiments.run(f"seed-{seed}", settings, [f"evaluate@{model}" for model in wanted])
    for name, models in baselines.by_name(p).items():
        tables = {model: {seed: load(seed, model) for seed in seeds} for model in models if model in wanted}
        if not tables:
            continue
        if args.keep:
            keep(tables, name, args.keep / name)
            continue
        baseline = baselines.load(name)
        if baseline is None:
            raise SystemExit(f"there is no baseline {name} yet: `make baseline` makes it")
        rows = [
            seed_spread.sd_over_seeds(list(by_seed.values()), p.evaluate.min_group_size).assign(model=model)
            for model, by_seed in tables.items()
        ]
        kept = baseline.seed_sd[~baseline.seed_sd["model"].isin(tables)]
        baseline.seed_sd = pd.concat([kept, *rows], ignore_index=True)[
            ["model", "target", "slice", "n", "seeds", "sd"]
        ].round(6)
        baselines.write(name, baseline)
        print(baseline.seed_sd[baseline.seed_sd["slice"] == paired.ALL].to_markdown(index=False))
        print(f"{baselines.FOLDER / name / baselines.SEED_SD}: commit it")


def load(seed: int, model: str) -> pd.DataFrame:
    """Test predictions of a model trained with a seed."""
    path = predictions.FOLDER / model / "predictions.csv"
    rows = predictions.parse(dvc_experiments.read(f"seed-{seed}", path).encode())
    return predictions.checked(rows[rows["part"] == "test"], f"seed {seed}, {model}")


def keep(tables: dict[str, dict[int, pd.DataFrame]], name: str, folder: Path) -> None:
    """Write predictions {model: {seed: rows}} as baselines.unpack reads them, beside a copy of the baseline."""
    shutil.copytree(baselines.FOLDER / name, folder, dirs_exist_ok=True)
    rows = {f"{model} seed {seed}": table for model, by_seed in tables.items() for seed, table in by_seed.items()}
    (folder / SEEDS).write_bytes(baselines.pack(rows))


if __name__ == "__main__":
    main()
