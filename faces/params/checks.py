"""Checks of params.yaml that need more than one key: names that must agree, orders, sums."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pydantic

from faces import scores, targets
from faces.params import overrides, schema
from faces.params.schema import Fault, Key

NETWORKS = Path(__file__).parent.parent / "networks"
DATASETS = Path(__file__).parent.parent / "data" / "datasets"


def faults(p: schema.Params) -> Iterator[Fault]:
    """Yield what the schema cannot check, in the order of the checks."""
    yield from _check_datasets(p)
    yield from _check_variants(p)
    yield from _check_models(p)
    yield from _check_tables(p)
    yield from _check_split(p)
    yield from _check_data(p)
    yield from _check_train(p)
    yield from _check_scores(p)
    yield from _check_search(p)


def _check_datasets(p: schema.Params) -> Iterator[Fault]:
    sections = {"parse_labels": p.parse_labels.datasets, "convert_mat": p.convert_mat.datasets}
    for i, name in enumerate(p.datasets):
        key = ("datasets", str(i))
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name):
            yield key, f"{name!r} is not a name of lower-case letters, digits and underscores"
        if sum(name in names for names in (*sections.values(), p.tables)) != 1:
            yield key, f"{name!r} must be in one of parse_labels.datasets, convert_mat.datasets, tables"
        if not _has_variant(p, name, "cropped"):
            yield key, f"{name!r} has no cropped row in variants, in which duplicates are searched for"
    for section, names in sections.items():
        for i, name in enumerate(names):
            if name not in p.datasets:
                yield (section, "datasets", str(i)), f"{name!r} is not listed in datasets"


def _check_variants(p: schema.Params) -> Iterator[Fault]:
    readers = _modules(DATASETS)
    for name, row in p.variants.items():
        key = ("variants", name)
        if name != f"{row.dataset}-{row.variant}":
            yield key, f"must be named {row.dataset}-{row.variant}"
        if row.dataset not in p.datasets:
            yield (*key, "dataset"), f"{row.dataset!r} is not listed in datasets"
        if row.reader not in readers:
            yield (*key, "reader"), f"{row.reader!r} is not a module of faces/data/datasets: {', '.join(readers)}"
        if (row.reader == "table") != (row.dataset in p.tables):
            yield (*key, "reader"), f"{row.reader!r}: table is the reader of the datasets under tables"
        if (row.reader == "table") != (row.images is not None):
            yield (*key, "images"), "must be set if the reader is table, and only then"
        if row.reader == "table" and row.variant != "cropped":
            yield (*key, "variant"), f"{row.variant!r}: the images of a table are faces, so cropped"


def _check_models(p: schema.Params) -> Iterator[Fault]:
    """Check rows of models and of teachers."""
    if not p.models:
        yield ("models",), "lists no model"
    for name in p.models:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            yield ("models", name), "is not a name of lower-case letters, digits and hyphens"
    for name, teacher_set in p.teachers.items():
        yield from _check_teachers(name, teacher_set)
    for key, row in _rows(p):
        yield from _check_row(p, key, row)


def _check_teachers(name: str, teacher_set: schema.TeacherSet) -> Iterator[Fault]:
    """Check that one process can train the teachers."""
    first = next(iter(teacher_set.models), {})
    if name == schema.NO_TEACHERS:
        yield ("teachers", name), "is the name for no teachers: choose another"
    if not teacher_set.models:
        yield ("teachers", name, "models"), "lists no teacher"
    for kind, rows in teacher_set.rounds.items():
        if teacher_set.out_of_fold and len(rows) < 2 and rows:
            yield ("teachers", name, "out_of_fold"), f"needs at least two {kind}: each face must be new to one of them"
        for i, row in enumerate(rows):
            key = ("teachers", name, kind, str(i))
            try:
                schema.teacher_row(teacher_set, row)
            except pydantic.ValidationError as error:
                yield from _located(key, error)
            for column in ("dataset", "variant", "network", "teachers"):
                if column in row:
                    yield (
                        (*key, column),
                        "is not a key of a teacher: all of a set share its dataset, variant and network",
                    )
            for section, column in (("train", "threads"), ("budget", "precision")):
                value, other = ((teacher.get(section) or {}).get(column) for teacher in (row, first))
                if value != other:
                    yield key, f"{column} differs from that of the first teacher"


def _rows(p: schema.Params) -> list[tuple[Key, schema.Model]]:
    """Keys and rows of models, and of the teachers that are valid."""
    rows: list[tuple[Key, schema.Model]] = [(("models", name), row) for name, row in p.models.items()]
    for name, teacher_set in p.teachers.items():
        for kind, teachers in teacher_set.rounds.items():
            for i, row in enumerate(teachers):
                with contextlib.suppress(pydantic.ValidationError):
                    rows.append((("teachers", name, kind, str(i)), schema.teacher_row(teacher_set, row)))
    return rows


def _check_row(p: schema.Params, key: Key, row: schema.Model) -> Iterator[Fault]:
    """Check a row of models, or of teachers."""
    networks, known = _modules(NETWORKS), ", ".join(targets.TARGETS)
    if not _has_variant(p, row.dataset, row.variant):
        yield (*key, "variant"), f"'{row.dataset}-{row.variant}' is not a row of variants"
    if row.network not in networks:
        yield (*key, "network"), f"{row.network!r} is not a module of faces/networks: {', '.join(networks)}"
    teacher_sets = [schema.NO_TEACHERS, *p.teachers]
    if row.teachers not in teacher_sets:
        yield (*key, "teachers"), f"{row.teachers!r} is not a row of teachers: {', '.join(teacher_sets)}"
    if not row.targets:
        yield (*key, "targets"), "lists no target"
    for i, target in enumerate(row.targets):
        if target not in targets.TARGETS:
            yield (*key, "targets", str(i)), f"{target!r} is not a row of faces/targets.py: {known}"


def _check_tables(p: schema.Params) -> Iterator[Fault]:
    for name, table in p.tables.items():
        if name not in p.datasets:
            yield ("tables", name), "is not listed in datasets"
        for target, column in (table.columns.model_extra or {}).items():
            key = ("tables", name, "columns", target)
            if target not in targets.TARGETS:
                yield key, f"is not image, identity, split or a row of faces/targets.py: {', '.join(targets.TARGETS)}"
            elif not isinstance(column, str | None):
                yield key, f"{column!r} is not the name of a column"
        for target, names in table.classes.items():
            row = targets.TARGETS.get(target)
            for text, label in names.items():
                if row is None or label not in ("", *row.classes):
                    allowed = ", ".join(row.classes if row else targets.TARGETS)
                    yield ("tables", name, "classes", target, text), f"{label!r} is not one of {allowed}"
    for name, row in p.models.items():
        table = p.tables.get(row.dataset)
        for i, target in enumerate(row.targets if table else []):
            if getattr(table.columns, target, None) is None:
                yield (
                    ("models", name, "targets", str(i)),
                    f"tables.{row.dataset}.columns names no column for {target!r}",
                )


def _check_split(p: schema.Params) -> Iterator[Fault]:
    ages = p.split.ages
    if len(ages) != 2 or ages[0] > ages[1]:
        yield ("split", "ages"), f"{ages} is not [lowest, highest]"
    for name, published in p.split.from_.items():
        if name not in p.datasets:
            yield ("split", "from", name), "is not listed in datasets"
        if p.split.fold >= len(published.folds):
            yield ("split", "fold"), f"{p.split.fold}: split.from.{name} has folds 0 to {len(published.folds) - 1}"
    if not p.split.from_ and p.split.fold >= p.split.folds:
        yield ("split", "fold"), f"{p.split.fold} is not below split.folds, {p.split.folds}"


def _check_data(p: schema.Params) -> Iterator[Fault]:
    if not p.data.source.strip():
        yield ("data", "source"), "is empty: sample, official, a folder or a URL"
    photos = p.data.source != "sample" or any(row.dataset in p.tables for row in p.models.values())
    if p.budget == "sample" and photos:
        yield ("budget",), "'sample' is too little for photos: set it to real, or to a row of budgets of your own"
    if p.split.val + p.split.test + p.split.calibration >= 1:
        yield ("split",), "val, test and calibration leave nothing to train on"
    if p.convert_mat.min_age > p.convert_mat.max_age:
        yield ("convert_mat", "min_age"), f"{p.convert_mat.min_age} is above max_age"


def _check_train(p: schema.Params) -> Iterator[Fault]:
    """Check `train`, and its overrides in budgets and rows of models."""
    sections: list[tuple[Key, schema.Train]] = [(("train",), p.train)]
    changes = []
    if p.budget not in p.budgets:
        yield ("budget",), f"{p.budget!r} is not a row of budgets: {', '.join(p.budgets)}"
    else:
        changes = [((*key, "budget"), p.budgets[p.budget], row.budget) for key, row in _rows(p)]
    for kind, budget in p.budgets.items():
        changes.append((("budgets", kind, "train"), p.train, budget.train))
        with contextlib.suppress(pydantic.ValidationError):  # reported for the line above
            train = overrides.merged(p.train, budget.train)
            changes += [((*key, "train"), train, row.train) for key, row in _rows(p)]
    for key, section, values in changes:
        try:
            merged = overrides.merged(section, values)
        except pydantic.ValidationError as error:
            yield from _located(key, error)
            continue
        if key[-1] == "train" and values:
            sections.append((key, merged))
    for key, train in sections:
        yield from _check_train_section(p, key, train)


def _check_train_section(p: schema.Params, key: Key, train: schema.Train) -> Iterator[Fault]:
    name, whole = ("crop", train.crop) if train.crop else ("image_size", train.image_size)
    if whole > p.pack.side:
        yield (*key, name), f"{whole} is above pack.side, {p.pack.side}"
    if train.image_size > whole:
        yield (*key, "image_size"), f"{train.image_size} is above crop, {whole}"
    if not 0.5 <= train.zoom <= 2:
        yield (*key, "zoom"), f"{train.zoom} is not a scale from 0.5 to 2"
    if len(train.augment.zoom) != 2 or train.augment.zoom[0] > train.augment.zoom[1]:
        yield (*key, "augment", "zoom"), f"{train.augment.zoom} is not [smallest, largest]"
    for column in ("loss_weights", "label_weight_power", "label_smoothing"):
        for target in getattr(train, column):
            if target not in targets.TARGETS:
                yield (*key, column, target), "is not a row of faces/targets.py"
    if train.monitor not in _scores():
        yield (*key, "monitor"), f"{train.monitor!r} is not one of {', '.join(_scores())}"


def _check_scores(p: schema.Params) -> Iterator[Fault]:
    """Check the scores that the gate limits, and the one that chooses the registered model."""
    known = scores.keys("metrics")
    for baseline, models in p.gate.limits.items():
        for model, limits in models.items():
            key = ("gate", "limits", baseline, model)
            if model not in p.models and set(models) & set(p.models):
                yield key, "is a model that is not listed under models: remove it"
            for score in limits:
                if score not in known:
                    yield (*key, score), f"is not one of {', '.join(known)}"
    if p.register_.metric not in _scores():
        yield ("register", "metric"), f"{p.register_.metric!r} is not one of {', '.join(_scores())}"


def _check_search(p: schema.Params) -> Iterator[Fault]:
    for name, space in p.tune.space.items():
        key, field = ("tune", "space", name), schema.Train.model_fields.get(name)
        if field is None or field.annotation not in (int, float) or name in ("threads", "image_size"):
            yield key, "is not a number under train that can be searched for"
            continue
        if space.min > space.max or (space.sampling == "log" and space.min <= 0):
            yield key, "needs min <= max, and min above 0 for log"
        for bound in (space.min, space.max):
            try:
                overrides.with_values(p.train, {name: bound})
            except pydantic.ValidationError as error:
                yield key, f"{bound} {error.errors()[0].get('ctx', {}).get('error', 'is no value')}"


def _located(key: Key, error: pydantic.ValidationError) -> Iterator[Fault]:
    """Faults of a section, with keys from the top of the file."""
    for inner, text in map(schema.schema_fault, error.errors()):
        yield (*key, *inner), text


def _modules(folder: Path) -> list[str]:
    return sorted(
        path.stem for path in folder.glob("*.py") if not path.stem.startswith("_") and path.stem != "imdb_wiki"
    )


def _has_variant(p: schema.Params, dataset: str, variant: str) -> bool:
    return any(row.dataset == dataset and row.variant == variant for row in p.variants.values())


def _scores() -> list[str]:
    return ["score", *(f"{t}_{m}" for t, row in targets.TARGETS.items() for m in row.monitors)]
