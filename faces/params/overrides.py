"""Settings of one training: params with the overrides of its budget, its row of models and the search."""

from typing import Any, TypeVar

from faces.params import schema

Section = TypeVar("Section", bound=schema.Section)


def for_row(p: schema.Params, row: schema.Model) -> tuple[schema.Settings, schema.Budget, schema.Model]:
    """Settings and budget of one row of models or teachers, and the row with all options.

    `train` of the row overrides `train` of the budget, which overrides the section `train`; likewise the options of
    the network. The seed is the row's, else that of params.
    """
    budget = merged(p.budgets[p.budget], row.budget)
    train = merged(merged(p.train, budget.train), row.train)
    settings = schema.Settings(seed=p.seed if row.seed is None else row.seed, **train.model_dump())
    return settings, budget, row.model_copy(update={"options": budget.options.get(row.network, {}) | row.options})


def merged(section: Section, values: dict[str, Any]) -> Section:
    """Replace some keys of a section, those of a mapping one by one, and validate it again."""
    merged = section.model_dump()
    for key, value in values.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = merged[key] | value if both else value
    return type(section).model_validate(merged)


def with_values(section: Section, values: dict[str, float]) -> Section:
    """Replace some numbers of settings and validate them again; whole numbers stay whole."""
    whole = {name for name in values if isinstance(getattr(section, name), int)}
    return merged(section, {name: round(value) if name in whole else float(value) for name, value in values.items()})


def recipe(settings: schema.Settings, budget: schema.Budget, row: schema.Model) -> dict[str, Any]:
    """What a model was trained with, as its run and its file keep it."""
    train = settings.model_dump()
    return {"seed": train.pop("seed"), "model": row.model_dump(), "budget": budget.model_dump(), "train": train}


def from_recipe(recipe: dict[str, Any]) -> schema.Settings:
    """The settings that a model was trained with."""
    return schema.Settings(seed=recipe["seed"], **recipe["train"])
