"""Old names of params, and what they are called now.

The one table serves the message about an old key, `python -m commands.check --migrate`, the rules that the gate reads
from a merge base, params of old MLflow runs, the metadata of old ONNX files, and recipes.
"""

import copy
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from faces.targets import TARGETS

TRAIN = {
    "growing": "progressive_sizes",
    "views": "tta_flip",
    "rarity": "label_weight_power",
    "lesson": "distillation_weight",
    "augment.grey": "grayscale",
    "augment.erase": "random_erasing",
    "augment.mix": "mixup_alpha",
    "augment.settle": "weak_final_fraction",
}
# Pattern of an old key, in sections that have their new names, and the new name of its last part.
KEYS = {
    "lessons": "teachers",
    "teachers.*.teachers": "models",
    "teachers.*.held_out": "out_of_fold",
    "tables.*.columns.picture": "image",
    "variants.*.pictures": "images",
    "split.from.*.picture": "image",
    "*model*.lesson": "teachers",  # of `models`, and of the recipe of one model
    **{f"*train.{old}": new for old, new in TRAIN.items()},
    "tune.space.lesson": "distillation_weight",
    "tune.together": "parallel_trials",
    "tune.give_up": "median_stopping_after",
    "tune.least_gain": "min_improvement",
    "clean.same_photo": "duplicate_correlation",
    "clean.copies": "deduplicate",
    "evaluate.min_n": "min_group_size",
    "evaluate.resamples": "bootstrap_samples",
    "gate.spreads": "tolerance_sd",
    "gate.years": "tolerance_years",
    "gate.share": "tolerance_accuracy",
    "gate.floors": "limits",
    "register.score": "metric",
    "levers": "ablations",
    "floors": "dummy_baseline",  # of a model's metadata
}
VALUES: dict[str, Callable[[Any], Any]] = {
    "tta_flip": lambda views: views == 2,
    "deduplicate": lambda copies: copies == "one",
}
# What keys meant before they existed, in files that are older than they.
ADDED: dict[str, dict[str, Any]] = {
    "": {"report": {"max_left_out": 0.2}},
    "data": {"in_place": False},
    "tune": {"parallel_trials": 1, "median_stopping_after": None},
    "models.*": {"start_from": "pretrained/none"},
    "train": {
        "replicas": 1,
        "crop": None,
        "progressive_sizes": [],
        "optimizer": "adamw",
        "zoom": 1.0,
        "loaded_learning_rate": 0.1,
        "freeze": False,
        "check_start": True,
    },
    "train.augment": {"mixup_alpha": 0.0, "weak_final_fraction": 0.0},
    "budgets.*": {"train": {}, "options": {}},
    "tune.space.*": {"sampling": "linear"},
    "split.from.*": {"image": "img_path", "part": "folder"},
}


def new_name(key: tuple[str, ...]) -> str:
    """What the last part of a key is called now, where its sections have their new names."""
    if key[0] == "variants" and len(key) == 2 and key[1].endswith("-found"):
        return key[1].removesuffix("found") + "detected"
    joined = ".".join(key)
    return next((new for pattern, new in KEYS.items() if fnmatchcase(joined, pattern)), key[-1])


def dotted(key: str) -> str:
    """The new name of a dotted key: `train.growing` -> `train.progressive_sizes`, `train.seed` -> `seed`."""
    parts: tuple[str, ...] = ()
    for part in key.split("."):
        parts = (*parts, new_name((*parts, part)))
    return ".".join((*parts[:-2], "seed") if parts[-2:] == ("train", "seed") else parts)


def translate(values: dict, path: tuple[str, ...] = ()) -> dict:
    """Give the old keys of a mapping their new names, in place and in order; returns the mapping.

    values: params.yaml, a recipe or a model's metadata; plain, or as ruamel.yaml reads it, whose comments stay.
    """
    for old in list(values):
        key = (*path, str(old))
        new = dotted(old) if "." in str(old) else new_name(key)
        value = values[old]
        if new != old:
            _rename(values, old, new, VALUES.get(new.rpartition(".")[2], lambda same: same)(value))
        elif old == "variant" and value == "found":
            values[old] = "detected"
        rows = enumerate(value) if isinstance(value, list) else [(None, value)]
        for number, row in rows:
            if isinstance(row, dict):
                translate(row, (*path, new, *([] if number is None else [str(number)])))
    train = values.get("train")
    if path[:1] != ("budgets",) and isinstance(train, dict) and "seed" in train:
        values["seed"] = train.pop("seed")
    if not path and values.get("budget") == "auto":
        values["budget"] = "sample" if values.get("data", {}).get("source") == "sample" else "real"
    if path == ("teachers",):
        _share_columns(values)
    return values


def _share_columns(teachers: dict) -> None:
    """Move what teachers of one set have in common from their rows to the set; a set without teachers is left out."""
    for name in [name for name, teacher_set in teachers.items() if not teacher_set.get("models")]:
        del teachers[name]
    for teacher_set in teachers.values():
        for key in ("dataset", "variant", "network"):
            for row in [*teacher_set["models"], *teacher_set.get("assistants", [])]:
                if key in row:
                    teacher_set[key] = row.pop(key)


def complete(values: dict) -> dict:
    """Add to a mapping the keys that it is older than, with what was meant before they existed; returns the mapping."""
    for section, keys in ADDED.items():
        found: list[Any] = [values]
        for part in filter(None, section.split(".")):
            mappings = [mapping for mapping in found if isinstance(mapping, dict)]
            found = [value for mapping in mappings for key, value in mapping.items() if part in (key, "*")]
        for mapping in (mapping for mapping in found if isinstance(mapping, dict)):
            for key, meaning in keys.items():
                mapping.setdefault(key, copy.deepcopy(meaning))
    return values


def metric(name: str) -> str:
    """The new name of a metric of an MLflow run: `test_mae` -> `test/age_mae`."""
    part, _, score = name.partition("_")
    if part not in ("train", "val", "test") or not score:
        return name
    targeted = score == "score" or score.split("_")[0] in TARGETS
    return f"{part}/{score if targeted else f'age_{score}'}"


def _rename(values: Any, old: str, new: str, value: Any) -> None:
    """Replace a key and its value, in the key's place, with its comment."""
    items = [(new, value) if key == old else (key, kept) for key, kept in values.items()]
    comments = dict(values.ca.items) if hasattr(values, "ca") else {}  # of ruamel.yaml
    values.clear()
    values.update(items)
    for key, comment in comments.items():
        values.ca.items[new if key == old else key] = comment
