"""Settings as a training takes them: what budgets, rows of models and a search change."""

from typing import Any

from faces.params import schema


def budget_for(p: schema.Params, kind: str) -> schema.Budget:
    """The budget of a source kind (`sample`, `real` or `own`), or the one that `budget` names."""
    auto = "sample" if kind == "sample" else "real"
    return getattr(p.budgets, auto if p.budget == "auto" else p.budget)


def for_row(p: schema.Params, row: schema.Model, kind: str) -> tuple[schema.Params, schema.Model]:
    """Params for one row of models, or a teacher, and pictures of a source kind; and the row with all options.

    What the row says under `train` replaces what the budget says there, and that replaces `train` itself; so with
    the options of its network.
    """
    budgets = {name: merged(budget, row.budget) for name, budget in p.budgets}
    own = p.model_copy(update={"budgets": schema.Budgets.model_construct(**budgets)})
    budget = budget_for(own, kind)
    train = merged(merged(p.train, budget.train), row.train)
    options = budget.options.get(row.network, {}) | row.options
    return own.model_copy(update={"train": train}), row.model_copy(update={"options": options})


def merged(section: schema.Section, values: dict[str, Any]) -> Any:
    """Replace some keys of a section, those of a mapping one by one, and check it anew."""
    merged = section.model_dump()
    for key, value in values.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = merged[key] | value if both else value
    return type(section).model_validate(merged)


def with_value(train: schema.Train, values: dict[str, float]) -> schema.Train:
    """Return the recipe with some numbers replaced, checked anew; whole numbers stay whole."""
    merged = train.model_dump()
    for name, value in values.items():
        merged[name] = round(value) if isinstance(merged[name], int) else float(value)
    return schema.Train.model_validate(merged)


def with_seed(p: schema.Params) -> schema.Params:
    """The same with the seed of the search as that of training: what a search finds must not hang on train.seed."""
    return p.model_copy(update={"train": p.train.model_copy(update={"seed": p.tune.seed})})
