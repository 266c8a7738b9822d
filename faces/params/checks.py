"""What one key of params.yaml alone cannot show: names that must agree, orders, sums."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pydantic

from faces import scores, targets
from faces.params import overrides, schema

NETWORKS = Path(__file__).parent.parent / "networks"
DATASETS = Path(__file__).parent.parent / "data" / "datasets"


def _modules(folder: Path) -> list[str]:
    return sorted(
        path.stem for path in folder.glob("*.py") if not path.stem.startswith("_") and path.stem != "imdb_wiki"
    )


def faults(p: schema.Params) -> Any:
    """Yield (key, fault) for what one key alone cannot show."""
    known = _modules(DATASETS)
    readers = {"parse_labels": p.parse_labels.datasets, "convert_mat": p.convert_mat.datasets}
    for i, name in enumerate(p.datasets):
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name):
            yield ("datasets", str(i)), f"{name!r} is not a name of lower-case letters, digits and underscores"
        if sum(name in names for names in (*readers.values(), p.tables)) != 1:
            yield (
                ("datasets", str(i)),
                f"{name!r} must stand in one of parse_labels.datasets, convert_mat.datasets, tables",
            )
        if not _has(p, name, "cropped"):
            yield (
                ("datasets", str(i)),
                f"{name!r} has no cropped row in variants; duplicates are looked for there",
            )
    for section, names in readers.items():
        for i, name in enumerate(names):
            if name not in p.datasets:
                yield (section, "datasets", str(i)), f"{name!r} is not listed in datasets"
    for key, row in p.variants.items():
        if key != f"{row.dataset}-{row.variant}":
            yield ("variants", key), f"must be called {row.dataset}-{row.variant}"
        if row.dataset not in p.datasets:
            yield ("variants", key, "dataset"), f"{row.dataset!r} is not listed in datasets"
        if row.reader not in known:
            yield (
                ("variants", key, "reader"),
                f"{row.reader!r} is not a module of faces/data/datasets: {', '.join(known)}",
            )
        if (row.reader == "table") != (row.dataset in p.tables):
            yield ("variants", key, "reader"), f"{row.reader!r}: table is the reader of the datasets under tables"
        if (row.reader == "table") != (row.pictures is not None):
            yield ("variants", key, "pictures"), "is needed where the reader is table, and there alone"
        if row.reader == "table" and row.variant != "cropped":
            yield ("variants", key, "variant"), f"{row.variant!r}: a table's pictures are faces, so cropped"
    if not p.models:
        yield ("models",), "lists no model"
    for name in p.models:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            yield ("models", name), "is not a name of lower-case letters, digits and hyphens"
    for name, lesson in p.lessons.items():
        yield from _check_lesson(name, lesson)
    for key, row in _rows(p):
        yield from _check_row(p, key, row)
    yield from _check_sections(p)


def _check_lesson(name: str, lesson: schema.Lesson) -> Any:
    """Check that one process can train a lesson's teachers, and that what they say is of the same faces."""
    first = next(iter(lesson.teachers), {})
    if lesson.assistants and not lesson.teachers:
        yield ("lessons", name, "assistants"), "have no teachers to learn from"
    for kind, rows in lesson.rounds.items():
        if lesson.held_out and len(rows) < 2 and (rows or kind == "teachers"):
            yield ("lessons", name, "held_out"), f"needs two {kind} at least: each speaks of the faces it did not see"
        for i, row in enumerate(rows):
            key = ("lessons", name, kind, str(i))
            try:
                schema.teacher_row(row)
            except pydantic.ValidationError as error:
                for where, what in map(schema.schema_fault, error.errors()):
                    yield (*key, *where), what
            for own in ("dataset", "variant"):
                if row.get(own) != first.get(own):
                    yield (*key, own), f"{row.get(own)!r}: that of the first teacher differs"
            for section, own in (("train", "threads"), ("budget", "precision")):
                mine, other = ((each.get(section) or {}).get(own) for each in (row, first))
                if mine != other:
                    yield key, f"{own} differs from that of the first teacher"


def _rows(p: schema.Params) -> list[tuple[tuple[str, ...], schema.Model]]:
    """Where each row of a model stands, and the row: those of models, and those of teachers that can be read."""
    found: list[tuple[tuple[str, ...], schema.Model]] = [(("models", name), row) for name, row in p.models.items()]
    for name, lesson in p.lessons.items():
        for kind, rows in lesson.rounds.items():
            for i, row in enumerate(rows):
                with contextlib.suppress(pydantic.ValidationError):
                    found.append((("lessons", name, kind, str(i)), schema.teacher_row(row)))
    return found


def _check_row(p: schema.Params, key: tuple[str, ...], row: schema.Model) -> Any:
    """Check a row of models, or of teachers."""
    if not _has(p, row.dataset, row.variant):
        yield (*key, "variant"), f"'{row.dataset}-{row.variant}' is not a row of variants"
    if row.network not in _modules(NETWORKS):
        found = ", ".join(_modules(NETWORKS))
        yield (*key, "network"), f"{row.network!r} is not a module of faces/networks: {found}"
    if row.lesson is None:
        yield (*key, "lesson"), f"is missing: one of {', '.join(p.lessons)}"
    elif row.lesson not in p.lessons:
        yield (*key, "lesson"), f"{row.lesson!r} is not a row of lessons: {', '.join(p.lessons)}"
    if not row.targets:
        yield (*key, "targets"), "lists no target"
    for i, target in enumerate(row.targets):
        if target not in targets.TARGETS:
            rows = ", ".join(targets.TARGETS)
            yield (*key, "targets", str(i)), f"{target!r} is not a row of faces/targets.py: {rows}"


def _check_tables(p: schema.Params) -> Any:
    for name, table in p.tables.items():
        if name not in p.datasets:
            yield ("tables", name), "is not listed in datasets"
        for target, names in table.classes.items():
            row = targets.TARGETS.get(target)
            for text, label in names.items():
                if row is None or label not in ("", *row.classes):
                    allowed = ", ".join(row.classes) if row else ", ".join(targets.TARGETS)
                    yield ("tables", name, "classes", target, text), f"{label!r} is not one of {allowed}"
    for name, row in p.models.items():
        table = p.tables.get(row.dataset)
        for i, target in enumerate(row.targets if table else []):
            if getattr(table.columns, target, None) is None:
                yield (
                    ("models", name, "targets", str(i)),
                    f"tables.{row.dataset}.columns names no column for {target!r}",
                )


def _check_split(p: schema.Params) -> Any:
    low_high = p.split.ages
    if len(low_high) != 2 or low_high[0] > low_high[1]:
        yield ("split", "ages"), f"{low_high} is not [lowest, highest]"
    for name, published in p.split.from_.items():
        if name not in p.datasets:
            yield ("split", "from", name), "is not listed in datasets"
        if p.split.fold >= len(published.folds):
            yield ("split", "fold"), f"{p.split.fold}: split.from.{name} has folds 0 to {len(published.folds) - 1}"
    if not p.split.from_ and p.split.fold >= p.split.folds:
        yield ("split", "fold"), f"{p.split.fold} is not below split.folds, {p.split.folds}"


def _check_sections(p: schema.Params) -> Any:
    yield from _check_tables(p)
    yield from _check_split(p)
    if not p.data.source.strip():
        yield ("data", "source"), "is empty: sample, official, a folder or a URL"
    if p.split.val + p.split.test + p.split.calibration >= 1:
        yield ("split",), "val, test and calibration leave nothing to train on"
    if p.convert_mat.min_age > p.convert_mat.max_age:
        yield ("convert_mat", "min_age"), f"{p.convert_mat.min_age} is above max_age"
    yield from _check_recipes(p)
    yield from _check_floors(p)
    if p.register_.score not in _scores():
        yield ("register", "score"), f"{p.register_.score!r} is not one of {', '.join(_scores())}"
    for name, space in p.tune.space.items():
        field = schema.Train.model_fields.get(name)
        if field is None or field.annotation not in (int, float) or name in ("seed", "threads", "image_size"):
            yield ("tune", "space", name), "is not a number under train that can be searched for"
            continue
        if space.min > space.max or (space.sampling == "log" and space.min <= 0):
            yield ("tune", "space", name), "needs min <= max, and min above 0 for log"
        for bound in (space.min, space.max):
            try:
                overrides.with_value(p.train, {name: bound})
            except pydantic.ValidationError as error:
                yield (
                    ("tune", "space", name),
                    f"{bound} {error.errors()[0].get('ctx', {}).get('error', 'is no value')}",
                )


def _scores() -> list[str]:
    return ["score", *(f"{t}_{m}" for t, row in targets.TARGETS.items() for m in row.monitors)]


def _check_recipes(p: schema.Params) -> Any:
    """Check `train`, and what rows of models make of it."""
    recipes: list[tuple[tuple[str, ...], schema.Train]] = [(("train",), p.train)]
    changes = [((*place, "budget"), p.budgets.real, row.budget) for place, row in _rows(p)]
    for kind, budget in p.budgets:
        changes.append((("budgets", kind, "train"), p.train, budget.train))
        with contextlib.suppress(pydantic.ValidationError):  # which the line before tells
            train = overrides.merged(p.train, budget.train)
            changes += [((*place, "train"), train, row.train) for place, row in _rows(p)]
    for key, section, values in changes:
        try:
            merged = overrides.merged(section, values)
        except pydantic.ValidationError as error:
            yield from (((*key, *where), what) for where, what in map(schema.schema_fault, error.errors()))
            continue
        if key[-1] == "train" and values:
            recipes.append((key, merged))
    for key, train in recipes:
        name, whole = ("crop", train.crop) if train.crop else ("image_size", train.image_size)
        if whole > p.pack.side:
            yield (*key, name), f"{whole} is above pack.side, {p.pack.side}"
        if train.image_size > whole:
            yield (*key, "image_size"), f"{train.image_size} is above crop, {whole}"
        if not 0.5 <= train.zoom <= 2:
            yield (*key, "zoom"), f"{train.zoom} is not a scale from 0.5 to 2"
        if len(train.augment.zoom) != 2 or train.augment.zoom[0] > train.augment.zoom[1]:
            yield (*key, "augment", "zoom"), f"{train.augment.zoom} is not [smallest, largest]"
        for section in ("loss_weights", "rarity", "label_smoothing"):
            for name in getattr(train, section):
                if name not in targets.TARGETS:
                    yield (*key, section, name), "is not a row of faces/targets.py"
        if train.monitor not in _scores():
            yield (*key, "monitor"), f"{train.monitor!r} is not one of {', '.join(_scores())}"


def _check_floors(p: schema.Params) -> Any:
    known = [f"{name}_{score}" for name, row in targets.TARGETS.items() for score in scores.HEADLINES[row.kind]]
    for baseline, models in p.gate.floors.items():
        for model, floors in models.items():
            if model not in p.models and set(models) & set(p.models):
                yield ("gate", "floors", baseline, model), "is of a model that is not listed under models: take it out"
            for score in floors:
                if score not in known:
                    yield ("gate", "floors", baseline, model, score), f"is not one of {', '.join(known)}"


def _has(p: schema.Params, dataset: str, variant: str) -> bool:
    return any(row.dataset == dataset and row.variant == variant for row in p.variants.values())
