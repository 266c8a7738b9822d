"""Settings of one training: params with the overrides of its budget, its row of models and the search."""

from typing import Any

from faces.params import schema


def budget_for(p: schema.Params, kind: str) -> schema.Budget:
    """The budget that `budget` names; if it is `auto`, that of the source kind (`sample`, `real` or `own`)."""
    auto = "sample" if kind == "sample" else "real"
    return getattr(p.budgets, auto if p.budget == "auto" else p.budget)


def for_row(p: schema.Params, row: schema.Model, kind: str) -> tuple[schema.Params, schema.Model]:
    """Params for one row of models or teachers and a source kind; and the row with all options.

    `train` of the row overrides `train` of the budget, which overrides the section `train`; likewise the options of
    the network.
    """
    budgets = {name: merged(budget, row.budget) for name, budget in p.budgets}
    own = p.model_copy(update={"budgets": schema.Budgets.model_construct(**budgets)})
    budget = budget_for(own, kind)
    train = merged(merged(p.train, budget.train), row.train)
    options = budget.options.get(row.network, {}) | row.options
    return own.model_copy(update={"train": train}), row.model_copy(update={"options": options})


def merged(section: schema.Section, values: dict[str, Any]) -> Any:
    """Replace some keys of a section, those of a mapping one by one, and validate it again."""
    merged = section.model_dump()
    for key, value in values.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = merged[key] | value if both else value
    return type(section).model_validate(merged)


def with_value(train: schema.Train, values: dict[str, float]) -> schema.Train:
    """Replace some numbers of `train` and validate it again; whole numbers stay whole."""
    merged = train.model_dump()
    for name, value in values.items():
        merged[name] = round(value) if isinstance(merged[name], int) else float(value)
    return schema.Train.model_validate(merged)


def with_seed(p: schema.Params) -> schema.Params:
    """Params with train.seed set to tune.seed: the result of a search must not depend on train.seed."""
    return p.model_copy(update={"train": p.train.model_copy(update={"seed": p.tune.seed})})
