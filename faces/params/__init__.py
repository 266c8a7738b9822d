"""params.yaml: schema, reading, checks, and the values that rows of models, budgets and the search override."""

from faces.params.loading import PATH, ParamsError, load, where
from faces.params.schema import (
    Augment,
    Budget,
    Columns,
    Evaluate,
    Fold,
    Gate,
    Model,
    Pack,
    Params,
    Published,
    Split,
    Table,
    TeacherSet,
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
    "Model",
    "Pack",
    "Params",
    "ParamsError",
    "Published",
    "Split",
    "Table",
    "TeacherSet",
    "Train",
    "Tune",
    "load",
    "teachers",
    "where",
]
