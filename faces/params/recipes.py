"""Recipes: recipes/NAME.yaml is what differs from params.yaml, as committed, for one published model or table.

Those of tables are in recipes/tables/. Their files are named as they are below the folder that `make recipe` is given.
"""

import copy
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from faces.params import loading
from faces.params.loading import PATH
from faces.params.schema import NO_START, OF_A_START

FOLDER = Path("recipes")
REPLACED = ("models", "variants", "teachers", "tables", "space")  # replaced whole, not merged key by key


def names() -> list[str]:
    """Names of the recipes, those of tables as tables/NAME."""
    paths = [path.relative_to(FOLDER).with_suffix("") for path in FOLDER.rglob("*.yaml")]
    return sorted(path.as_posix() for path in paths if "." not in path.name)


def committed() -> str:
    """Text of params.yaml as committed, which recipes are merged into; the file itself where git does not have it."""
    shown = subprocess.run(["git", "show", f"HEAD:./{PATH}"], capture_output=True, text=True, check=False)
    return shown.stdout if shown.returncode == 0 else PATH.read_text()


def expected(name: str) -> dict:
    """Values of the committed params.yaml with a recipe merged in."""
    values = loading.parse(committed())
    merge(values, loading.parse((FOLDER / f"{name}.yaml").read_text()))
    return values


def same(values: dict, other: dict) -> bool:
    """Whether two params.yaml are equal in all but where the files are: section data, and the folders of tables."""
    one, two = (copy.deepcopy({**content, "data": None}) for content in (values, other))
    for content in (one, two):
        move_tables(content, lambda path: Path(path).name)
    return one == two


def move_tables(values: dict, moved: Callable[[str], str]) -> None:
    """Change the paths of the files of tables in place, by a function of a path."""
    for table in (values["tables"] or {}).values():
        table["labels"] = moved(table["labels"])
    for row in values["variants"].values():
        if row.get("images"):
            row["images"] = moved(row["images"])


def merge(values: dict, changes: dict) -> None:
    """Merge changes into a mapping in place, key by key, REPLACED whole. Raises SystemExit at an unknown key."""
    for key, value in changes.items():
        if key not in values:
            raise SystemExit(f"{key!r} of the recipe is not a key of params.yaml")
        if isinstance(value, dict) and key not in REPLACED and values[key]:
            merge(values[key], value)
        else:
            values[key] = value


def ablations(name: str) -> dict:
    """Content of recipes/NAME.ablations.yaml: the ablations of a recipe's model."""
    return loading.parse((FOLDER / f"{name}.ablations.yaml").read_text())


def basis(common: dict, precision: str, values: dict) -> str:
    """Digest of what all ablations of a recipe have in common: scores of another digest are not comparable.

    common: {key of params.yaml: value} set in all; precision: the one trained in, since `auto` depends on the machine;
    values: of params.yaml.
    """
    values = copy.deepcopy(values)
    for key, value in common.items():
        *parents, last = key.split(".")
        section = values
        for parent in parents:
            section = section[parent]
        section[last] = value
    values["budgets"] = values["budgets"]["real"]
    values["budgets"]["precision"] = precision
    shared = {key: values[key] for key in ("seed", "models", "budgets", "train", "split", "clean", "pack")}
    if all(row.pop("start_from", NO_START) == NO_START for row in values["models"].values()):
        shared["train"] = {key: value for key, value in values["train"].items() if key not in OF_A_START}
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:8]
