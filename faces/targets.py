"""The targets that a model predicts from a face. Importing this module needs NumPy alone.

The kind of a target (years, classes) determines how its head is decoded and scored; its loss is in losses.py. A new
target of a known kind needs a row of TARGETS and a column that a dataset's reader fills.
"""

from dataclasses import dataclass

import numpy as np

AGE_BINS = ("0-24", "25-49", "50-74", "75-99", "100-124")
BIN_YEARS = 25


@dataclass(frozen=True)
class Target:
    """One target: `kind` is `years` (a distribution over whole years) or `classes`."""

    name: str
    kind: str
    classes: tuple[str, ...]

    @property
    def units(self) -> int:
        """Logits of its head."""
        return len(self.classes)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups that faces are counted and scored by: age bins, or classes."""
        return AGE_BINS if self.kind == "years" else self.classes

    @property
    def monitors(self) -> tuple[str, ...]:
        """The scores that training tracks each epoch."""
        return ("mae", "percentile_gap") if self.kind == "years" else ("accuracy",)


TARGETS = {
    target.name: target
    for target in (
        Target("age", "years", tuple(str(year) for year in range(125))),
        Target("sex", "classes", ("male", "female")),
        Target("ethnicity", "classes", ("white", "black", "asian", "indian", "others")),
    )
}


def encode(target: Target, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encode a column of records for losses and scores.

    labels: (n,) ages in years, NaN where unlabelled; or (n,) class names, empty or NaN where unlabelled.
    Returns values (n,) float32, years or class index, 0 where unlabelled; and known (n,) float32, 0 or 1.
    Raises ValueError for an invalid label.
    """
    if target.kind == "years":
        years = np.asarray(labels, dtype=np.float32)
        if np.nanmax(years, initial=0) > target.units - 1 or np.nanmin(years, initial=0) < 0:
            raise ValueError(f"{target.name}: {np.nanmax(years)} is outside 0 to {target.units - 1} years")
        known = np.isfinite(years)
        return np.where(known, years, 0).astype(np.float32), known.astype(np.float32)
    names = ["" if label is None or label != label else str(label) for label in labels]
    invalid = sorted({*names} - {"", *target.classes})
    if invalid:
        raise ValueError(f"{target.name}: {invalid[0]!r} is not one of {', '.join(target.classes)}")
    index = group_index(target, names)
    return np.maximum(index, 0).astype(np.float32), (index >= 0).astype(np.float32)


def group_index(target: Target, labels: np.ndarray | list[str]) -> np.ndarray:
    """Index (n,) into target.groups of labels as `encode` takes them; -1 where unlabelled, or none of the classes."""
    if target.kind == "years":
        return age_bin(labels)
    index = {name: i for i, name in enumerate(target.classes)}
    return np.array([index.get(label, -1) for label in labels], int)


def decode(target: Target, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Decode a head's probabilities (n, units) into columns.

    years: NAME_predicted (median), NAME_mean, both in years, and NAME_bin (index of the most probable of AGE_BINS).
    classes: NAME_predicted (class index) and NAME_p_CLASS for each class, 0 to 1.
    """
    p = np.asarray(probabilities, np.float64)
    if target.kind == "years":
        return {
            f"{target.name}_predicted": median_age(p),
            f"{target.name}_mean": p @ np.arange(p.shape[1]),
            f"{target.name}_bin": age_bin_probabilities(p).argmax(axis=1),
        }
    by_class = {f"{target.name}_p_{name}": p[:, i] for i, name in enumerate(target.classes)}
    return {f"{target.name}_predicted": p.argmax(axis=1), **by_class}


def median_age(p: np.ndarray) -> np.ndarray:
    """Median in whole years (n,), as labels are, of distributions p (n, years); it has the least expected error."""
    return np.round(quantile_age(p, 0.5))


def quantile_age(p: np.ndarray, q: float) -> np.ndarray:
    """Quantile q in years (n,) of distributions p (n, years), linear within a year.

    Year k stands for ages k - 0.5 to k + 0.5, so a distribution that is all on one year has that year as its median.
    """
    cumulative = np.cumsum(p, axis=1)
    wanted = q * cumulative[:, -1]
    k = np.argmax(cumulative >= wanted[:, None], axis=1)
    rows = np.arange(len(p))
    below = np.where(k > 0, cumulative[rows, k - 1], 0.0)
    return np.maximum(k - 0.5 + (wanted - below) / np.maximum(p[rows, k], 1e-12), 0.0)


def age_bin(years: np.ndarray | list) -> np.ndarray:
    """Index into AGE_BINS (n,) of ages in years; -1 where NaN."""
    years = np.asarray(years, np.float64)
    bins = np.clip(np.nan_to_num(years) // BIN_YEARS, 0, len(AGE_BINS) - 1).astype(int)
    return np.where(np.isfinite(years), bins, -1)


def age_bin_probabilities(p: np.ndarray) -> np.ndarray:
    """Probability (n, 5) of each of AGE_BINS from distributions p (n, 125) over years."""
    return p.reshape(len(p), len(AGE_BINS), BIN_YEARS).sum(axis=2)
