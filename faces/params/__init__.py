"""params.yaml: its schema, how it is read and checked, and what rows of models, budgets and a search change of it."""

from faces.params.loading import PATH, ParamsError, load, where
from faces.params.schema import (
    Augment,
    Budget,
    Columns,
    Evaluate,
    Fold,
    Gate,
    Lesson,
    Model,
    Pack,
    Params,
    Published,
    Split,
    Table,
    Train,
    Tune,
    teachers,
)

__all__ = [
    "PATH",
    "Augment",
    "Budget",
    "Columns",
    "Evaluate",
    "Fold",
    "Gate",
    "Lesson",
    "Model",
    "Pack",
    "Params",
    "ParamsError",
    "Published",
    "Split",
    "Table",
    "Train",
    "Tune",
    "load",
    "teachers",
    "where",
]
