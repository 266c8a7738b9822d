"""Train every model with several seeds and write how much its scores differ, from which the gate's tolerances follow.

It writes reports/baselines/NAME/spread.csv, or, with --keep, the predictions to a folder. Teachers keep their own
seeds, so the spread of a distilled model is that of the student alone.
"""

import json
import shutil
from pathlib import Path

import pandas as pd

from commands import command_line
from commands.experiments import variations
from faces import params
from faces.gate import baselines, paired, tolerance
from faces.runtime import dvc_experiments, progress

SEEDS = "seeds.csv.gz"


def main() -> None:
    """Run one DVC experiment a seed; DVC restores those that ran before from its cache."""
    parser = command_line.parser(__doc__)
    parser.add_argument("count", type=int, nargs="?", default=5, help="number of seeds (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of seeds to skip (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="write the predictions to KEEP/NAME/, with the baseline")
    parser.add_argument("--models", nargs="+", help="models of params.yaml to train (default: all)")
    args = parser.parse_args()
    if args.count < 2:
        parser.error(f"{args.count}: a standard deviation needs at least two seeds")
    p = params.load()
    wanted = variations.chosen_models(parser, p, args.models)
    seeds = variations.seed_settings(p, wanted, args.count, args.first)
    for number, (seed, settings) in enumerate(seeds.items(), 1):
        progress.say(f"seed {seed}, {number} of {len(seeds)}")
        dvc_experiments.run(f"seed-{seed}", settings, [f"evaluate@{model}" for model in wanted])
    for name, models in baselines.by_name(p).items():
        tables = {
            model: {seed: variations.read_predictions(f"seed-{seed}", model) for seed in seeds}
            for model in models
            if model in wanted
        }
        recipes = {model: recipe(f"seed-{next(iter(seeds))}", model) for model in tables}
        if tables and args.keep:
            keep(tables, name, args.keep / name)
        elif tables:
            write_spread(tables, recipes, name, p.evaluate.min_group_size)


def recipe(experiment: str, model: str) -> str:
    """Digest of what a DVC experiment trained a model with, but for its seed."""
    return baselines.recipe_digest(json.loads(dvc_experiments.read(experiment, f"data/models/{model}/model.json")))


def write_spread(
    tables: dict[str, dict[int, pd.DataFrame]], recipes: dict[str, str], name: str, min_group_size: int
) -> None:
    """Write the spread of predictions {model: {seed: rows}} to the baseline of a name; other models keep theirs.

    recipes: {model: digest of what it was trained with}.
    """
    baseline = baselines.load(name)
    command_line.require(baseline, f"there is no baseline {name} yet: `make baseline` makes it")
    rows = [baseline.seed_sd[~baseline.seed_sd["model"].isin(tables)]]
    rows += [
        tolerance.sd_over_seeds(list(by_seed.values()), min_group_size).assign(
            model=model, faces=baselines.faces_digest(next(iter(by_seed.values()))), recipe=recipes[model]
        )
        for model, by_seed in tables.items()
    ]
    baseline.seed_sd = pd.concat(rows, ignore_index=True)[baselines.SEED_COLUMNS].round(6)
    baselines.write(name, baseline)
    print(baseline.seed_sd[baseline.seed_sd["slice"] == paired.ALL].to_markdown(index=False))
    print(f"{baselines.FOLDER / name / baselines.SEED_SD}: commit it")


def keep(tables: dict[str, dict[int, pd.DataFrame]], name: str, folder: Path) -> None:
    """Write predictions {model: {seed: rows}} as baselines.unpack reads them, beside a copy of the baseline."""
    shutil.copytree(baselines.FOLDER / name, folder, dirs_exist_ok=True)
    rows = {f"{model} seed {seed}": table for model, by_seed in tables.items() for seed, table in by_seed.items()}
    (folder / SEEDS).write_bytes(baselines.pack(rows))


if __name__ == "__main__":
    command_line.run(main)
