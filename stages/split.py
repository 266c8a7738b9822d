"""Split the faces of a dataset by group: data/clean/D/faces.csv -> data/splits/D.csv."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.special

from faces import params, targets
from faces.data import datasets, records, tables
from faces.data.archives import ArchiveError
from faces.data.datasets import table
from faces.runtime import progress, running

NAMES = {name: part for part, names in {"train": ("train", "training"), "test": ("test", "testing"),
         "val": ("val", "valid", "validation", "dev"), "calibration": ("calibration",)}.items()
         for name in names}  # fmt: skip


def main(dataset: str) -> None:
    """Assign every group to a part; report the balance of the parts, and the faces that their group moved."""
    params_ = params.load()
    p = params_.split
    faces = records.read(f"data/clean/{dataset}/faces.csv")
    count, counts = len(faces), {}
    faces = faces[faces["age"].isna() | faces["age"].between(*p.ages)].reset_index(drop=True)
    groups, moved = faces["group" if p.by == "group" else "face_id"], []
    named = parts_of_words(faces["published"], f"tables.{dataset}")
    if dataset in p.from_:
        variant = next(row for row in params_.variants.values() if row.dataset == dataset)
        values, counts = published(faces["face_id"], p.from_[dataset], variant)
        named = parts_of_fold(values, p.from_[dataset].folds[p.fold], p.from_[dataset].file)
    if dataset in p.from_ or (faces["published"] != "").any():
        whole = complete(named, faces["group"], p.val, p.calibration, p.seed)
        part, counts["left_out_as_tied_to_another_part"] = keep_apart(faces["group"], whole)
    elif p.folds > 1:
        rest = 1 - 1 / p.folds
        part = assign_parts(groups, p.val / rest, 0.0, p.calibration / rest, p.seed)
        part = part.mask(in_fold(faces, groups, p.folds, p.fold, p.seed), "test")
    else:
        part = assign_parts(groups, p.val, p.test, p.calibration, p.seed)
        alone = assign_parts(faces["face_id"], p.val, p.test, p.calibration, p.seed)
        moved = faces["face_id"][alone != part].tolist()
    faces = faces.assign(part=part)[part != ""]
    if len(faces) < count:
        counts["left_out"] = count - len(faces)
    empty = [name for name in ("train", "val", "test") if not (faces["part"] == name).any()]
    if empty:
        raise ArchiveError(
            f"{dataset}: no face is for {' and '.join(empty)}; there are {count} in {groups.nunique()} groups (of "
            "copies, or of one person), by part: "
            f"{progress.counts(faces['part'].value_counts().to_dict() | counts)}. See `split` in params.yaml"
        )
    records.write(faces[["face_id", "group", "part", *targets.TARGETS]], f"data/splits/{dataset}.csv")
    report = {
        "faces": {part: int((faces["part"] == part).sum()) for part in params.PARTS},
        **counts,
        "balance": balance(faces),
        "moved_with_their_group": [] if counts else moved,
    }
    records.write_json(report, f"data/splits/{dataset}-balance.json")
    progress.say(f"{dataset}, faces by part: {progress.counts(report['faces'] | counts)}")
    for row in report["balance"]:
        if row["p"] < 0.001:
            progress.say(f"{dataset}: the parts differ in {row['by']} by more than chance (p = {row['p']:.2g})")


def assign_parts(groups: pd.Series, val: float, test: float, calibration: float, seed: int) -> pd.Series:
    """Part (n,) of each face from the id of its group: test, val and calibration are shares of all, train the rest.

    A group's part depends on its id and the seed alone, so new faces do not move others. A new face of a group whose id
    sorts first gives the group its id, and so perhaps another part.
    """
    place = groups.map({group: place_of(group, seed) for group in groups.unique()})
    bounds = {"test": test, "val": test + val, "calibration": test + val + calibration}
    parts = np.select([place < bound for bound in bounds.values()], list(bounds), "train")
    return pd.Series(parts, groups.index, object)


def in_fold(faces: pd.DataFrame, groups: pd.Series, folds: int, fold: int, seed: int) -> np.ndarray:
    """Whether each face (n,) is in a fold, of as many with equal numbers of faces of each age bin and sex.

    Each face is in one fold, with its group; faces that come or go move others.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # here, since one fold does not need it

    sex = targets.group_index(targets.TARGETS["sex"], faces["sex"].to_numpy())
    strata = 3 * targets.age_bin(faces["age"].to_numpy(float)) + sex
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of a stratum with fewer faces than folds
        members = list(splitter.split(faces, strata, groups))[fold][1]
    return np.isin(np.arange(len(faces)), members)


def published(
    face_ids: pd.Series, source: params.Published, variant: params.Variant
) -> tuple[pd.Series, dict[str, int]]:
    """The part or fold (n,) that a published split gives each face, as text, '' where it has none; and counts of rows.

    The file is a CSV or Parquet table, or JSON: a list of entries, as the benchmark of Paplham and Franc (CVPR 2024,
    "A Call to Reflect on Evaluation Practices for Age Estimation") publishes. Raises ArchiveError where it is not.
    """
    path = Path(source.file)
    is_json = path.suffix.lower() == ".json"
    rows = pd.DataFrame(read_json(path), dtype=object).map(tables.as_cell) if is_json else tables.load(path)
    for column in (source.image, source.part):
        if (count := list(rows).count(column)) != 1:
            fault = "more than one" if count else "no"
            raise ArchiveError(f"{path}: has {fault} {column!r}; it has {', '.join(map(str, rows.columns))}")
    names = rows[source.image]
    if variant.images is not None:
        find = table.finder(face_ids, Path(variant.images).name)
        ids = [face if not reason else "" for face, reason in map(find, names)]
    else:
        module = datasets.find(variant.reader)
        ids = [module.face_id(name.strip().replace("\\", "/")) or "" for name in names]
    words = rows[source.part].map(records.as_code)
    values = face_ids.map(words.groupby(ids).first()).fillna("").astype(object)
    disagree = face_ids.isin(words.groupby(ids).nunique().loc[lambda count: count > 1].index)
    counts = {"published_rows": len(rows), "published_rows_with_a_face": len(set(ids) & set(face_ids))}
    if not counts["published_rows_with_a_face"]:
        raise ArchiveError(f"{path}: names none of these faces; the first is {names.iloc[0]!r}")
    if disagree.any():
        first = face_ids[disagree].iloc[0]
        raise ArchiveError(f"{path}: has {disagree.sum()} faces in more than one part, such as {first!r}: remove rows")
    return values, counts


def read_json(path: Path) -> list[dict]:
    """Entries of a JSON file; raises ArchiveError where it is not a list of them."""
    try:
        entries = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArchiveError(f"{path}: cannot be read: {error}") from None
    if not (isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)):
        raise ArchiveError(f"{path}: is not a list of entries")
    return entries


def parts_of_words(words: pd.Series, table: str) -> pd.Series:
    """Part (n,) of each face by a table's word for it, '' where it has none. Raises ArchiveError for other words."""
    parts = words.map(lambda word: NAMES.get(word.strip().casefold(), ""))
    unknown = words[(words != "") & (parts == "")].value_counts()
    if len(unknown):
        counted = ", ".join(f"{word!r} ({count} faces)" for word, count in unknown.head(5).items())
        raise ArchiveError(
            f"{table}.columns.split in params.yaml names a column with {counted}: {table}.classes.split must say which "
            f"of {', '.join(params.PARTS)} they are, or '' for none"
        )
    return parts


def parts_of_fold(values: pd.Series, fold: params.Fold, source: str) -> pd.Series:
    """Part (n,) of each face in a fold of a published split, by its value there; '' where the fold does not use it.

    Raises ArchiveError where the split lacks a value of the fold.
    """
    part = {records.as_code(str(value)): name for name in ("train", "val", "test") for value in getattr(fold, name)}
    values = values.map(records.as_code)
    missing = [value for value in part if not (values == value).any()]
    if missing:
        known = ", ".join(sorted(set(values) - {""}))
        raise ArchiveError(f"{source}: has no part {missing[0]!r} with a face, which the fold names; it has {known}")
    return values.map(lambda value: part.get(value, ""))


def complete(part: pd.Series, groups: pd.Series, val: float, calibration: float, seed: int) -> pd.Series:
    """Move groups from the training part to those that a published split lacks: calibration, perhaps validation."""
    train = part == "train"
    lacking = 0.0 if (part == "val").any() else val
    extra = assign_parts(groups[train], lacking, 0.0, calibration, seed)
    return part.where(~train, extra.reindex(part.index))


def keep_apart(groups: pd.Series, part: pd.Series) -> tuple[pd.Series, int]:
    """Leave out faces whose group is also in a part of higher rank: test, val, calibration, train.

    Returns the parts (n,), '' for those, and how many they are.
    """
    rank = part.map({"": 0, "train": 1, "calibration": 2, "val": 3, "test": 4})
    first = rank.groupby(groups).transform("max")
    tied = (rank > 0) & (rank < first)
    return part.mask(tied, ""), int(tied.sum())


def place_of(group: str, seed: int) -> float:
    """A number in [0, 1), uniform over groups, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:7]) / 2**56


def balance(faces: pd.DataFrame) -> list[dict]:
    """Faces by part for each age bin and class, with the p of a chi-square test that parts and labels are unrelated."""
    rows = []
    for name, target in targets.TARGETS.items():
        index = pd.Series(targets.group_index(target, faces[name].to_numpy()), faces.index)
        table = pd.crosstab(index[index >= 0], faces["part"]).rename(dict(enumerate(target.groups)))
        table = table[[part for part in params.PARTS if part in table]]
        if table.size == 0 or min(table.shape) < 2:
            continue
        rows.append(
            {"by": name, "p": unrelated(table.to_numpy()), "counts": {str(k): v for k, v in table.T.to_dict().items()}}
        )
    return rows


def unrelated(counts: np.ndarray) -> float:
    """p of Pearson's chi-square test that the rows and columns of counts (r, c) are unrelated; r and c are 2 or more.

    As scipy.stats.chi2_contingency, with Yates's correction of tables of 2 x 2, but that takes a second to import.
    """
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    off = np.abs(counts - expected)
    off -= np.minimum(0.5, off) if freedom == 1 else 0
    return float(scipy.special.chdtrc(freedom, (off**2 / expected).sum()))


if __name__ == "__main__":
    running.stage(main)
