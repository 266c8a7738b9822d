"""Settings and names of the runs of one set of models: by seed, and by fold."""

from faces import params


def seed_numbers(p: params.Params, count: int) -> list[int]:
    """`count` seeds, from the one after that of params.yaml."""
    return [p.seed + 1 + i for i in range(count)]


def seed_settings(p: params.Params, models: list[str], seed: int) -> dict[str, int]:
    """Keys of params.yaml that give models a seed: `seed`, and that of each row that has its own."""
    own = {f"models.{name}.seed": seed for name in models if p.models[name].seed is not None}
    return {"seed": seed, **own}


def fold_count(p: params.Params) -> int:
    """Number of folds of `split`. Raises SystemExit where it is 1."""
    count = max([p.split.folds, *(len(source.folds) for source in p.split.from_.values())])
    if count < 2:
        raise SystemExit("there is one fold: set split.folds, or split.from.DATASET.folds, in params.yaml")
    return count


def fold_name(fold: int, count: int) -> str:
    """Name of a fold's DVC experiment."""
    return f"fold-{fold}-of-{count}"
