"""Per-face predictions, as evaluate writes them: read, checked, and their labels' groups and errors.

data/evaluated/MODEL/ holds unrounded numbers: predictions.csv, and metrics.json, the scores of each part.
"""

import hashlib
import io
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from faces import targets
from faces.evaluation import metrics

FOLDER = Path("data/evaluated")
ALL = "all faces"
PREDICTED = {"years": ("predicted", "mean", "bin"), "classes": ("predicted",)}  # columns that scores need, by kind
NAMELESS = re.compile("face-[0-9a-f]{16}")


class PredictionsError(SystemExit):
    """A file of predictions is not usable; its message ends a stage."""


def read(model: str, part: str = "test") -> pd.DataFrame:
    """Rows of a part: face_id, group, part, labels ('' or NaN where unknown) and predictions, sorted by face id.

    Raises PredictionsError, naming file and face, where a face occurs twice or a prediction is missing or invalid.
    """
    path = FOLDER / model / "predictions.csv"
    rows = parse(path.read_bytes())
    for column in ("face_id", "part"):
        if column not in rows:
            raise PredictionsError(f"{path}: has no column {column!r}; it has {', '.join(rows)}")
    return checked(rows[rows["part"] == part], str(path))


def scores(model: str) -> dict[str, dict[str, float]]:
    """Scores {part: {score: value}} of a model."""
    return json.loads((FOLDER / model / "metrics.json").read_text())


def parse(content: bytes) -> pd.DataFrame:
    """Rows of a CSV of predictions: ids and classes as text, '' where empty; the rest as numbers, NaN where empty."""
    text = {"face_id": str, "group": str, "part": str, "model": str, "seed": str}
    for name, target in targets.TARGETS.items():
        if target.kind == "classes":
            text |= {name: str, f"{name}_predicted": str}
        else:
            text[f"{name}_bin"] = str
    numbers = {name: [""] for name in pd.read_csv(io.BytesIO(content), nrows=0) if name not in text}
    return pd.read_csv(
        io.BytesIO(content), dtype=text, keep_default_na=False, na_values=numbers, float_precision="round_trip"
    )


def checked(rows: pd.DataFrame, where: str) -> pd.DataFrame:
    """Rows sorted by face id, with a `group`. Raises PredictionsError where they cannot be compared with others."""
    rows = rows.sort_values("face_id", kind="stable").reset_index(drop=True)
    twice = rows["face_id"][rows["face_id"].duplicated()]
    if len(twice):
        raise PredictionsError(f"{where}: face {twice.iloc[0]!r} occurs twice")
    for name, target in targets.TARGETS.items():
        column = f"{name}_predicted"
        if column not in rows:
            continue
        bad = rows[column].isna() if target.kind == "years" else ~rows[column].isin(target.classes)
        if bad.any():
            face, value = rows.loc[bad, ["face_id", column]].iloc[0]
            raise PredictionsError(
                f"{where}: face {face!r}: {column} is {str(value)!r}, which is no prediction of {name}"
            )
    return rows if "group" in rows else rows.assign(group=rows["face_id"])


def nameless(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with hashes in place of face ids and groups, sorted by them; ids that are hashes already stay.

    Committed rows then name no file of anybody, and can still be compared with rows of the same faces.
    """

    def hashed(text: str) -> str:
        return text if NAMELESS.fullmatch(text) else f"face-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    rows = rows.assign(face_id=rows["face_id"].map(hashed), group=rows["group"].map(hashed))
    return rows.sort_values("face_id", kind="stable").reset_index(drop=True)


def aligned(candidate: pd.DataFrame, baseline: pd.DataFrame) -> str:
    """Why two tables are not of the same faces with the same labels; '' where they are."""
    ours, theirs = set(candidate["face_id"]), set(baseline["face_id"])
    if ours != theirs:
        return f"{len(ours - theirs)} new and {len(theirs - ours)} gone since the baseline"
    for name, target in targets.TARGETS.items():
        if name in candidate and name in baseline:
            one, other = candidate[name], baseline[name]
            same = (one == other) | (one.isna() & other.isna()) if target.kind == "years" else one == other
            if not same.all():
                return f"{int((~same).sum())} with another {name} label than in the baseline"
    return ""


def scored_targets(*tables: pd.DataFrame) -> list[targets.Target]:
    """Targets of which every table has labels and predictions."""
    return [
        target
        for name, target in targets.TARGETS.items()
        if all({name, f"{name}_predicted"} <= set(rows) for rows in tables)
    ]


def face_scores(rows: pd.DataFrame, target: targets.Target) -> dict[str, np.ndarray]:
    """metrics.face_scores of rows of predictions.csv, as float, NaN where the label is unknown; {} without a target.

    The columns TARGET_first and TARGET_last, where rows have them, are the bins of ages that are labels.
    """
    if target not in scored_targets(rows):
        return {}
    dtype = float if target.kind == "years" else str
    ends = ("predicted", "low", "high") if f"{target.name}_low" in rows else ("predicted",)
    label, *others = (rows[name].to_numpy(dtype) for name in (target.name, *(f"{target.name}_{end}" for end in ends)))
    known = np.isfinite(label) if target.kind == "years" else label != ""
    binned = f"{target.name}_first" in rows
    bins = tuple(rows[f"{target.name}_{end}"].to_numpy(float) for end in ("first", "last")) if binned else None
    values = metrics.face_scores(target, label, others[0], *others[1:], bins=bins)  # type: ignore[misc]
    return {score: np.where(known, value, np.nan) for score, value in values.items()}


def labels_of(rows: pd.DataFrame, target: targets.Target) -> np.ndarray:
    """Labels (n,) of a target; all NaN where the rows have none."""
    return rows[target.name].to_numpy() if target.name in rows else np.full(len(rows), np.nan)


def groups(rows: pd.DataFrame, crossed: bool = True) -> list[tuple[str, str, np.ndarray]]:
    """Axis, name and members (n,) bool of each group that labels make: all faces, age bins, classes, crossings of two.

    rows: any table with the labels of faces. The axis is "", a target, or "TARGET x TARGET" where crossed.
    """
    axes: dict[str, list[tuple[str, np.ndarray]]] = {}
    for name, target in targets.TARGETS.items():
        if name in rows:
            index, prefix = targets.group_index(target, rows[name].to_numpy()), f"{name} " * (target.kind == "years")
            axes[name] = [(prefix + group, index == i) for i, group in enumerate(target.groups)]
    listed = [("", ALL, np.ones(len(rows), bool))]
    listed += [(axis, *group) for axis, members in axes.items() for group in members]
    for one, other in itertools.combinations(axes, 2) if crossed else ():
        pairs = itertools.product(axes[one], axes[other])
        listed += [(f"{one} x {other}", f"{a}, {b}", x & y) for (a, x), (b, y) in pairs]
    return listed


def statistics(table: pd.DataFrame, target: targets.Target) -> np.ndarray:
    """metrics.statistics of rows of predictions.csv."""
    columns = [f"{target.name}_{end}" for end in PREDICTED[target.kind]]
    decoded = {column: table[column].to_numpy() for column in columns}
    named = columns[-1]  # by the names of groups, which are numbers in `decoded`
    decoded[named] = table[named].map({name: i for i, name in enumerate(target.groups)}).to_numpy()
    return metrics.statistics(target, *targets.encode(target, labels_of(table, target)), decoded)


def as_rows(faces: pd.DataFrame, part: str, decoded: dict) -> pd.DataFrame:
    """One row a face: face_id, group (its person), part, all its labels, and for each target its columns of decode.

    faces: rows of a split, indexed by face_id.
    """
    rows = pd.DataFrame({"face_id": faces.index, "group": faces["group"].to_numpy(), "part": part})
    for name, target in targets.TARGETS.items():
        labels = faces[name].to_numpy()
        if targets.encode(target, labels)[1].any():
            rows[name] = labels
        if f"{name}_predicted" not in decoded:
            continue
        if target.kind == "years":
            for column in ("predicted", "mean", "low", "high"):
                rows[f"{name}_{column}"] = decoded[f"{name}_{column}"]
            rows[f"{name}_bin"] = np.array(targets.AGE_BINS)[decoded[f"{name}_bin"]]
        else:
            rows[f"{name}_predicted"] = np.array(target.classes)[decoded[f"{name}_predicted"]]
            for label in target.classes:
                rows[f"{name}_p_{label}"] = decoded[f"{name}_p_{label}"]
    return rows
