"""Settings of the runs of one set of models."""

from commands.experiments import variations
from faces import params


def test_a_row_with_a_seed_of_its_own_gets_those_of_make_seeds(project):
    p = params.load()
    names = list(p.models)[:2]
    p.models[names[0]] = p.models[names[0]].model_copy(update={"seed": 7})
    assert variations.seed_settings(p, names, 2, skipped=1) == {
        seed: {"seed": seed, f"models.{names[0]}.seed": seed} for seed in (p.seed + 2, p.seed + 3)
    }
