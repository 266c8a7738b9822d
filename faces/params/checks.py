"""Checks of params.yaml that need more than one key: names that must agree, orders, sums."""

import ast
import itertools
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pydantic

from faces import scores, targets
from faces.params import overrides, schema
from faces.params.schema import Fault, Key

NETWORKS = Path(__file__).parent.parent / "networks"
DATASETS = Path(__file__).parent.parent / "data" / "datasets"
STAGE_FOLDERS = (*(f"data/{name}" for name in ("audits", "boxes", "calibrated", "clean", "evaluated", "models", "packs",
    "partial", "raw", "records", "soft_targets", "splits", "tuned")), "mlruns", "reports")  # fmt: skip
NAME = re.compile("[a-z0-9][a-z0-9-]{0,59}")  # of models and teachers; of datasets, with _ for -
SHARED = ("dataset", "variant", "network", "teachers")  # columns that all teachers of a set share

Check = tuple[bool, Key, str]  # whether a key is right, the key, and what is wrong with it if it is not


def faults(p: schema.Params) -> Iterator[Fault]:
    """Yield what the schema cannot check, in the order of the checks."""
    checks = (
        _check_datasets,
        _check_variants,
        _check_models,
        _check_tables,
        _check_split,
        _check_data,
        _check_sources,
        _check_train,
        _check_scores,
        _check_search,
    )
    for right, key, text in itertools.chain.from_iterable(check(p) for check in checks):
        if not right:
            yield key, text


def _check_datasets(p: schema.Params) -> Iterator[Check]:
    sections = {"parse_labels": p.parse_labels.datasets, "convert_mat": p.convert_mat.datasets}
    read = [name for names in (*sections.values(), p.tables) for name in names]
    for i, name in enumerate(p.datasets):
        key, spelled = ("datasets", str(i)), "-" not in name and NAME.fullmatch(name.replace("_", "-")) is not None
        once, cropped = read.count(name) == 1, f"{name}-cropped" in p.variants
        yield from [
            (spelled, key, f"{name!r} is not a name of lower-case letters, digits and underscores, at most 60"),
            _once(key, p.datasets, i),
            (once, key, f"{name!r} must be in one of parse_labels.datasets, convert_mat.datasets, tables"),
            (cropped, key, f"{name!r} has no cropped row in variants, in which duplicates are searched for"),
        ]
    for section, names in sections.items():
        for i, name in enumerate(names):
            place = (section, "datasets", str(i))
            yield name in p.datasets, place, f"{name!r} is not listed in datasets"
            in_names = "labels" in _functions(DATASETS, name)
            known = [module for module in _modules(DATASETS) if module != "table"]
            yield _listed(place, name, known, "a module of faces/data/datasets:")
            other = (
                f"{name!r}: its labels are {'' if in_names else 'not '}in file names, by faces/data/datasets/{name}.py"
            )
            yield name not in known or in_names == (section == "parse_labels"), place, other


def _check_variants(p: schema.Params) -> Iterator[Check]:
    for name, row in p.variants.items():
        key, named, table = ("variants", name), f"{row.dataset}-{row.variant}", row.reader == "table"
        fault = f"{row.reader!r}: table is the reader of the datasets under tables"
        yield from [
            (name == named, key, f"must be named {named}"),
            (row.dataset in p.datasets, (*key, "dataset"), f"{row.dataset!r} is not listed in datasets"),
            _listed((*key, "reader"), row.reader, _modules(DATASETS), "a module of faces/data/datasets:"),
            (table == (row.dataset in p.tables), (*key, "reader"), fault),
            (table == (row.images is not None), (*key, "images"), "must be set if the reader is table, and only then"),
            (table or row.crop is None, (*key, "crop"), "is of the images of a table alone"),
            (
                row.variant == "cropped" or not table,
                (*key, "variant"),
                f"{row.variant!r}: the images of a table are faces, so cropped",
            ),
        ]


def _check_models(p: schema.Params) -> Iterator[Check]:
    """Check rows of models and of teachers."""
    yield p.models != {}, ("models",), "lists no model"
    for section, names in (("models", p.models), ("teachers", p.teachers)):
        for name in names:
            fault = "is not a name of lower-case letters, digits and hyphens, at most 60"
            yield NAME.fullmatch(name) is not None, (section, name), fault
    for name, teacher_set in p.teachers.items():
        yield from _check_teachers(("teachers", name), teacher_set)
    for key, row in _rows(p):
        yield from _check_row(p, key, row)


def _check_teachers(key: Key, teacher_set: schema.TeacherSet) -> Iterator[Check]:
    """Check that one process can train the teachers."""
    first = next(iter(teacher_set.models), {})
    fault = "is not a key of a teacher: all of a set share its dataset, variant and network"
    yield key[-1] != schema.NO_TEACHERS, key, "is the name for no teachers: choose another"
    yield teacher_set.models != [], (*key, "models"), "lists no teacher"
    for kind, rows in teacher_set.rounds.items():
        enough = len(rows) != 1 or not teacher_set.out_of_fold
        yield enough, (*key, "out_of_fold"), f"needs at least two {kind}: each face must be new to one of them"
        for i, row in enumerate(rows):
            place = (*key, kind, str(i))
            yield from _validated(place, schema.teacher_row, teacher_set, row)[1]
            yield from ((column not in row, (*place, column), fault) for column in SHARED)
            for section, column in (("train", "threads"), ("budget", "precision")):
                value, other = ((teacher.get(section) or {}).get(column) for teacher in (row, first))
                yield value == other, place, f"{column} differs from that of the first teacher"


def _rows(p: schema.Params) -> list[tuple[Key, schema.Model]]:
    """Keys and rows of models, and of the teachers that are valid."""
    rows: list[tuple[Key, schema.Model]] = [(("models", name), row) for name, row in p.models.items()]
    for name, teacher_set in p.teachers.items():
        for kind, teachers in teacher_set.rounds.items():
            for i, row in enumerate(teachers):
                key = ("teachers", name, kind, str(i))
                model, _ = _validated(key, schema.teacher_row, teacher_set, row)
                rows += [(key, model)] if model else []
    return rows


def _check_row(p: schema.Params, key: Key, row: schema.Model) -> list[Check]:
    """Check a row of models, or of teachers."""
    variant = f"{row.dataset}-{row.variant}"
    table, known = p.tables.get(row.dataset), "a row of faces/targets.py:"
    named = [target for target in row.targets if table is None or getattr(table.columns, target, None) is not None]
    teacher_set = p.teachers.get(row.teachers)
    their_targets = (
        {target for teacher in teacher_set.models for target in teacher.get("targets") or ()} if teacher_set else {}
    )
    return [
        (variant in p.variants, (*key, "variant"), f"'{variant}' is not a row of variants"),
        _listed((*key, "network"), row.network, _modules(NETWORKS), "a module of faces/networks:"),
        _listed((*key, "teachers"), row.teachers, [schema.NO_TEACHERS, *p.teachers], "a row of teachers:"),
        (
            teacher_set is None or teacher_set.dataset == row.dataset,
            (*key, "teachers"),
            f"{row.teachers!r} are teachers of another dataset: their soft targets are of other faces",
        ),
        (
            teacher_set is None or not {*row.targets}.isdisjoint(their_targets),
            (*key, "teachers"),
            f"{row.teachers!r} predict none of {', '.join(row.targets)}",
        ),
        *_check_start(p, (*key, "start_from"), row.start_from),
        (row.targets != [], (*key, "targets"), "lists no target"),
        *(_once((*key, "targets", str(i)), row.targets, i) for i in range(len(row.targets))),
        *(_listed((*key, "targets", str(i)), target, targets.TARGETS, known) for i, target in enumerate(row.targets)),
        *(
            (target in named, (*key, "targets", str(i)), f"tables.{row.dataset}.columns names no column for {target!r}")
            for i, target in enumerate(row.targets)
        ),
    ]


def _check_start(p: schema.Params, key: Key, start: str) -> Iterator[Check]:
    """Check the folder that a row starts from: one that is there, or of another row whose start does not lead back."""
    seen, place = [key[1]], Path(start)
    while place.parent == Path("data/models") and place.name in p.models and place.name not in seen:
        seen.append(place.name)
        place = Path(p.models[place.name].start_from)
    yield place.name not in seen, key, f"{start} leads back to {place.name}"
    if Path(start).parent == Path("data/models"):
        yield _listed(key, Path(start).name, p.models, "a row of models:")
    elif start != schema.NO_START:
        fault = "is no folder: data/models/NAME, pretrained/utkface, or one that `python -m commands.copy_model` wrote"
        yield Path(start).is_dir(), key, f"{start} {fault}"


def _check_tables(p: schema.Params) -> Iterator[Check]:
    known = ", ".join(targets.TARGETS)
    for name, table in p.tables.items():
        yield name in p.datasets, ("tables", name), "is not listed in datasets"
        in_full = not table.labels.startswith("~")
        yield (
            in_full,
            ("tables", name, "labels"),
            f"{table.labels}: DVC watches this file and does not know ~; write it in full",
        )
        for target, column in (table.columns.model_extra or {}).items():
            key: Key = ("tables", name, "columns", target)
            yield (
                target in targets.TARGETS,
                key,
                f"is not image, identity, split, box or one of faces/targets.py: {known}",
            )
            yield isinstance(column, str | None), key, f"{column!r} is not the name of a column"
        box = table.columns.box or []
        yield from (_once(("tables", name, "columns", "box", str(i)), box, i) for i in range(len(box)))
        for target, names in table.classes.items():
            classes = targets.TARGETS[target].classes if target in targets.TARGETS else ()
            classes = schema.PARTS if target == "split" else classes
            fault = f"is not one of {', '.join(classes) or known}"
            for text, label in names.items():
                key = ("tables", name, "classes", target, text)
                yield label in ("", *classes), key, f"{label!r} {fault}"


def _check_split(p: schema.Params) -> Iterator[Check]:
    key, fold = ("split", "fold"), p.split.fold
    yield _ordered(p.split.ages), ("split", "ages"), f"{p.split.ages} is not [lowest, highest]"
    for name, published in p.split.from_.items():
        yield name in p.datasets, ("split", "from", name), "is not listed in datasets"
        for i, row in enumerate(published.folds):
            parts = [{str(value) for value in part} for part in (row.train, row.val, row.test)]
            twice = sorted(value for value in set().union(*parts) if sum(value in part for part in parts) > 1)
            yield not twice, ("split", "from", name, "folds", str(i)), f"{', '.join(twice)} is in more than one part"
        last = len(published.folds) - 1
        yield fold <= last, key, f"{fold}: split.from.{name} has folds 0 to {last}"
        for i, row in enumerate(published.folds):
            values = [str(value) for part in ("train", "val", "test") for value in getattr(row, part)]
            both = next((value for value in values if values.count(value) > 1), None)
            yield both is None, ("split", "from", name, "folds", str(i)), f"{both!r} is in it twice"
    yield fold < p.split.folds or p.split.from_ != {}, key, f"{fold} is not below split.folds, {p.split.folds}"


def _check_data(p: schema.Params) -> list[Check]:
    photos = p.data.source != "sample" or any(row.dataset in p.tables for row in p.models.values())
    test = p.split.test if p.split.folds == 1 else 1 / p.split.folds
    parts = p.split.val + test + p.split.calibration
    lowest, highest = p.convert_mat.min_age, p.convert_mat.max_age
    small = "'sample' is too little for photos: set it to real, or to a row of budgets of your own"
    return [
        (p.data.source.strip() != "", ("data", "source"), "is empty: sample, official, a folder or a URL"),
        (p.budget != "sample" or not photos, ("budget",), small),
        (parts < 1, ("split",), "val, test and calibration leave nothing to train on"),
        (lowest <= highest, ("convert_mat", "min_age"), f"{lowest} is above max_age"),
    ]


def _check_sources(p: schema.Params) -> Iterator[Check]:
    """Check that no file or folder of the user's lies where stages write, since DVC removes what it finds there."""
    written = {folder: Path(folder).resolve() for folder in STAGE_FOLDERS}
    for key, path in {**user_files(p), ("data", "source"): p.data.source}.items():
        fits = key == ("data", "source") or "://" not in path
        yield fits, key, f"{path} is an address: download it, and name the file or folder"
        place = Path(path).resolve()
        inside = next((folder for folder, other in written.items() if place.is_relative_to(other)), None)
        yield inside is None, key, f"{path} is in {inside}, whose files the pipeline removes: move it elsewhere"


def user_files(p: schema.Params) -> dict[Key, str]:
    """Files and folders of the user's that params.yaml names, by key."""
    paths: dict[Key, str] = {("tables", name, "labels"): table.labels for name, table in p.tables.items()}
    paths |= {("variants", key, "images"): row.images for key, row in p.variants.items() if row.images is not None}
    return paths | {("split", "from", name, "file"): split.file for name, split in p.split.from_.items()}


def _check_train(p: schema.Params) -> Iterator[Check]:
    """Check `train`, and its overrides in budgets and rows of models."""
    rows = _rows(p)
    changes: list[tuple[Key, schema.Section, dict[str, Any]]] = [(("train",), p.train, {})]
    yield _listed(("budget",), p.budget, p.budgets, "a row of budgets:")
    if p.budget in p.budgets:
        changes += [((*key, "budget"), p.budgets[p.budget], row.budget) for key, row in rows]
        for key, row in rows:
            yield from _check_settings(p, key, row)
    for kind, budget in p.budgets.items():
        for network, options in budget.options.items():
            yield from _check_options(("budgets", kind, "options", network), network, options)
        changes.append((("budgets", kind, "train"), p.train, budget.train))
        train, _ = _validated((), overrides.merged, p.train, budget.train)
        changes += [((*key, "train"), train, row.train) for key, row in rows if train]
    for key, section, values in changes:
        merged, checks = _validated(key, overrides.merged, section, values)
        yield from checks
        if isinstance(merged, schema.Train) and (values or key == ("train",)):
            yield from _check_train_section(p, key, merged)


def _check_settings(p: schema.Params, key: Key, row: schema.Model) -> Iterator[Check]:
    """Check the settings that one row is trained with, of the section train, its budget and the row together."""
    in_budget = row.budget.get("train") or {}
    yield from _validated((*key, "budget", "train"), overrides.merged, p.train, in_budget)[1]
    made, _ = _validated(key, overrides.for_row, p, row)
    if made is None:  # which other checks report
        return
    settings, _, full = made
    if in_budget:
        yield from _check_train_section(p, (*key, "budget", "train"), settings)
    monitored = settings.monitor.split("_")[0]
    fault = f"{settings.monitor!r} is a score of {monitored}, which is not in targets: set train.monitor of this row"
    yield monitored not in targets.TARGETS or monitored in row.targets, key, fault
    missing = [name for name in _options(row.network)[1] if name not in full.options]
    yield not missing, (*key, "options"), f"{row.network} needs the option {', '.join(missing)}"
    yield from _check_options((*key, "options"), row.network, row.options)
    for network, options in row.budget.get("options", {}).items():
        yield from _check_options((*key, "budget", "options", network), network, options)


def _check_options(key: Key, network: str, options: dict[str, Any]) -> Iterator[Check]:
    """Check the names of options of a network."""
    yield _listed(key, network, _modules(NETWORKS), "a module of faces/networks:")
    known, _ = _options(network)
    fault = f"is no option of {network}; it has: {', '.join(known or ()) or 'none'}"
    yield from ((known is None or name in known, (*key, name), fault) for name in options)


def _options(network: str) -> tuple[list[str] | None, list[str]]:
    """Options of a network, None where they cannot be told, and those without a default: arguments of its `build`."""
    build = _functions(NETWORKS, network).get("build")
    if build is None or build.args.kwarg is not None:
        return None, []
    known = [argument.arg for argument in build.args.args][3:]
    return known, known[: max(0, len(known) - len(build.args.defaults))]


def _check_train_section(p: schema.Params, key: Key, train: schema.Train) -> list[Check]:
    name, whole = ("crop", train.crop) if train.crop else ("image_size", train.image_size)
    columns = ("loss_weights", "label_weight_power", "label_smoothing")
    by_target = [(*key, column, target) for column in columns for target in getattr(train, column)]
    return [
        (whole <= p.pack.side, (*key, name), f"{whole} is above pack.side, {p.pack.side}"),
        (train.image_size <= whole, (*key, "image_size"), f"{train.image_size} is above crop, {whole}"),
        (0.5 <= train.zoom <= 2, (*key, "zoom"), f"{train.zoom} is not a scale from 0.5 to 2"),
        (_ordered(train.augment.zoom), (*key, "augment", "zoom"), f"{train.augment.zoom} is not [smallest, largest]"),
        *((place[-1] in targets.TARGETS, place, "is not a row of faces/targets.py") for place in by_target),
        _listed((*key, "monitor"), train.monitor, _monitors(), "one of"),
    ]


def _check_scores(p: schema.Params) -> Iterator[Check]:
    """Check the scores that the gate limits, and the one that chooses the registered model."""
    for baseline, models in p.gate.limits.items():
        for model, limits in models.items():
            key = ("gate", "limits", baseline, model)
            other = model in p.models or not set(models) & set(p.models)
            yield other, key, "is a model that is not listed under models: remove it"
            dataset = p.models[model].dataset if model in p.models else baseline
            names = (dataset, f"{dataset}-sample", f"{dataset}-simulated")
            yield _listed(key, baseline, names, f"a baseline of {model}:")
            yield from (_listed((*key, score), score, scores.keys("metrics"), "one of") for score in limits)
    yield _listed(("register", "metric"), p.register_.metric, _monitors(), "one of")


def _check_search(p: schema.Params) -> Iterator[Check]:
    fields = schema.Train.model_fields
    fixed = {"threads", "replicas", "image_size"}
    numbers = {name for name, field in fields.items() if field.annotation in (int, float)} - fixed
    for name, space in p.tune.space.items():
        key = ("tune", "space", name)
        ordered = space.min <= space.max and (space.sampling == "linear" or space.min > 0)
        yield name in numbers, key, "is not a number under train that can be searched for"
        yield ordered, key, "needs min <= max, and min above 0 for log"
        grid = space.step is None or space.sampling == "linear" or space.step > 1
        yield grid, (*key, "step"), f"{space.step}: with sampling log each value is the one before times step: above 1"
        for bound in (space.min, space.max) if name in numbers else ():
            train, checks = _validated((), overrides.with_values, p.train, {name: bound})
            checks += [check for check in _check_train_section(p, (), train) if check[1] == (name,)] if train else []
            yield from ((right, key, text) for right, _, text in checks)


def _validated(key: Key, make: Callable[..., Any], *arguments: object) -> tuple[Any, list[Check]]:
    """A section, None where it is not valid; and its faults, with keys from the top of the file."""
    try:
        return make(*arguments), []
    except pydantic.ValidationError as error:
        inner = map(schema.schema_fault, error.errors())
        return None, [(False, (*key, *rest), text) for rest, text in inner]


def _listed(key: Key, value: str, allowed: Collection[str], what: str) -> Check:
    return value in allowed, key, f"{value!r} is not {what} {', '.join(allowed)}"


def _once(key: Key, values: list[str], i: int) -> Check:
    return values.index(values[i]) == i, key, f"{values[i]!r} is listed twice"


def _functions(folder: Path, name: str) -> dict[str, ast.FunctionDef]:
    """Functions of a module by name, from its text, since a network's import takes seconds; {} where there is none."""
    body = ast.parse((folder / f"{name}.py").read_bytes()).body if name in _modules(folder) else []
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


def _ordered(bounds: list) -> bool:
    return len(bounds) == 2 and bounds[0] <= bounds[1]


def _modules(folder: Path) -> list[str]:
    names = sorted(path.stem for path in folder.glob("*.py"))
    return [name for name in names if not name.startswith("_") and name != "imdb_wiki"]


def _monitors() -> list[str]:
    return ["score", *(f"{t}_{m}" for t, row in targets.TARGETS.items() for m in row.monitors)]
