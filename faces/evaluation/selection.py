"""The scores that training and selection use: apart from metrics.py, where a new score thus trains no model again."""

import numpy as np

from faces import targets
from faces.targets import Target

ERRORS = ("mae", "percentile_gap")  # lower is better; of all other scores here, higher
PERCENTILES = (25, 50, 75, 95)


def signed(value: float, score: str) -> float:
    """The value of a score that `evaluate` names, with the sign at which more is better."""
    return -value if score.endswith(ERRORS) else value


def percentile_gap(true: np.ndarray, predicted: np.ndarray) -> float:
    """Sum over the 25th, 50th, 75th and 95th percentiles of |predicted - true|, in years; NaN without faces."""
    if not len(true):
        return float("nan")
    return float(np.abs(np.percentile(predicted, PERCENTILES) - np.percentile(true, PERCENTILES)).sum())


def dummy_prediction(target: Target, values: np.ndarray, known: np.ndarray) -> float:
    """The dummy baseline's constant: the median age of the training labels, or the index of their commonest class."""
    from sklearn.dummy import DummyClassifier, DummyRegressor

    values = values[known > 0]
    if not len(values):
        return 0.0
    years = target.kind == "years"
    dummy = DummyRegressor(strategy="median") if years else DummyClassifier(strategy="most_frequent")
    return float(dummy.fit(values, values).predict(values[:1])[0])


def skill(target: Target, values: np.ndarray, known: np.ndarray, headline: float, constant: float) -> float:
    """Share of the dummy baseline's error that a model avoids: 1 perfect, 0 no better than it; NaN without labels.

    headline: the MAE in years, or the accuracy; constant: as dummy_prediction returns it.
    """
    error = dummy_error(target, values[known > 0], constant)
    return float(1 - (headline if target.kind == "years" else 1 - headline) / error)


def dummy_error(target: Target, values: np.ndarray, constant: float) -> float:
    """The dummy baseline's error on labels (n,): mean in years, or share of wrong classes; NaN without labels."""
    return max(mean(losses(target, values, np.full(len(values), constant))), 1e-9)


def losses(target: Target, values: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Error of each face (n,): in years, or 1 for a wrong class and 0 for the right one."""
    return np.abs(predicted - values) if target.kind == "years" else (predicted != values).astype(np.float64)


def evaluate(wanted: list[str], labels: dict, decoded: dict, constants: dict[str, float]) -> dict[str, float]:
    """The scores that training and selection use, e.g. age_mae, age_percentile_gap, sex_accuracy and score.

    labels: {target: (values, known)}; decoded: columns of targets.decode; constants: {target: of dummy_prediction}.
    score is the mean skill over targets.
    """
    numbers: dict[str, float] = {}
    skills = []
    for name in wanted:
        target = targets.TARGETS[name]
        values, known = labels[name]
        true, predicted = values[known > 0], decoded[f"{name}_predicted"][known > 0]
        if target.kind == "years":
            headline = mean(np.abs(predicted - true))
            numbers |= {f"{name}_mae": headline, f"{name}_percentile_gap": percentile_gap(true, predicted)}
        else:
            headline = numbers[f"{name}_accuracy"] = mean(predicted == true)
        skills.append(skill(target, values, known, headline, constants[name]))
    skills = [value for value in skills if np.isfinite(value)]
    return numbers | {"score": mean(np.array(skills))}


def face_scores(wanted: list[str], labels: dict, decoded: dict, constants: dict[str, float]) -> dict[str, np.ndarray]:
    """The values (n,) of which age_mae, sex_accuracy, ... and score of `evaluate` are the means over faces.

    NaN where a label is unknown; a face adds nothing to `score` for a target whose label it lacks.
    """
    columns, parts = {}, []
    for name in wanted:
        target = targets.TARGETS[name]
        (values, known), predicted = labels[name], decoded[f"{name}_predicted"]
        error = np.where(known > 0, losses(target, values, predicted), np.nan)
        years = target.kind == "years"
        columns[f"{name}_{'mae' if years else 'accuracy'}"] = error if years else 1 - error
        if (known > 0).any():
            share = (known > 0).mean() * dummy_error(target, values[known > 0], constants[name])
            parts.append(1 - np.nan_to_num(error) / share)
    return columns | {"score": np.mean(parts, axis=0) if parts else np.full(len(values), np.nan)}


def mean(values: np.ndarray) -> float:
    """Mean of values (n,); NaN where there are none."""
    return float(values.mean()) if len(values) else float("nan")
