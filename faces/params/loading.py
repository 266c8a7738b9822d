"""Read params.yaml, and say what is wrong with it, line by line."""

from pathlib import Path
from typing import Any

import pydantic
import yaml

from faces.params import checks, schema

PATH = Path("params.yaml")


class ParamsError(SystemExit):
    """params.yaml is not usable; ends a stage with its message and exit status 1."""


def load(path: Path = PATH) -> schema.Params:
    """Read and check params.yaml.

    Raises ParamsError with one line a fault: `params.yaml:88: train.batch_size: -3 is not a positive whole number`.
    """
    text = _read(path)
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: not readable as YAML: {error}") from None
    try:
        params = schema.Params.model_validate(values)
    except pydantic.ValidationError as error:
        faults = [schema.schema_fault(detail) for detail in error.errors()]
    else:
        faults = list(dict.fromkeys([*_unseen(values), *checks.faults(params)]))
        if not faults:
            return params
    raise ParamsError("\n".join(f"{where(key, path)}: {what}" for key, what in faults))


def where(key: tuple[str, ...], path: Path = PATH) -> str:
    """Where a key stands, as faults say it: `params.yaml:88: train.batch_size`."""
    return f"{path}:{_line(_lines(_read(path)), key)}: {'.'.join(key)}"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise ParamsError(f"{path} is not here: run this from the project's top folder") from None


def _unseen(values: Any, key: tuple[str, ...] = ()) -> Any:
    """Yield (key, fault) for keys that DVC's run cache takes for the size of a file, and so leaves out."""
    for name, value in values.items() if isinstance(values, dict) else enumerate(values):
        if name in ("size", "nfiles"):
            yield (*key, name), "has a name whose changes DVC's run cache does not see: give it another"
        if isinstance(value, (dict, list)):
            yield from _unseen(value, (*key, str(name)))


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Line number (from 1) of each key of a YAML text."""
    found: dict[tuple[str, ...], int] = {}

    def walk(node: yaml.Node, path: tuple[str, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                found[(*path, key.value)] = key.start_mark.line + 1
                walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                found[(*path, str(i))] = value.start_mark.line + 1
                walk(value, (*path, str(i)))

    root = yaml.compose(text)
    if root is not None:
        walk(root, ())
    return found


def _line(lines: dict[tuple[str, ...], int], key: tuple[str, ...]) -> int:
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)
