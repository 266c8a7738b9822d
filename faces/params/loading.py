"""Read params.yaml; report its faults with their lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import yaml
from ruamel.yaml import YAML

from faces.params import checks, renamed, schema

PATH = Path("params.yaml")


class ParamsError(SystemExit):
    """params.yaml is not usable; ends a stage with its message and exit status 1."""


def load(path: Path = PATH) -> schema.Params:
    """Read and check params.yaml.

    Raises ParamsError with one line per fault: `params.yaml:88: train.batch_size: -3 is not a positive whole number`.
    """
    text = _read(path)
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: not readable as YAML: {error}") from None
    try:
        params = schema.Params.model_validate(values)
        faults = list(dict.fromkeys([*_ignored_by_dvc(values), *checks.faults(params)]))
    except pydantic.ValidationError as error:
        faults = [schema.schema_fault(detail) for detail in error.errors()]
    if faults:
        faults = _old_names(values) or faults
        raise ParamsError("\n".join(f"{where(key, path)}: {what}" for key, what in faults))
    return params


def where(key: schema.Key, path: Path = PATH) -> str:
    """Line and name of a key, as in errors: `params.yaml:88: train.batch_size`."""
    return f"{path}:{_line(_lines(_read(path)), key)}: {'.'.join(key)}"


def yaml_editor() -> YAML:
    """Reads and writes YAML files with their comments and quotes; see ruamel.yaml."""
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    editor.indent(mapping=2, sequence=4, offset=2)
    editor.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return editor


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing: run this from the project's top folder") from None


def _old_names(values: Any, key: schema.Key = ()) -> list[schema.Fault]:
    """A fault for each key that has a new name."""
    faults: list[schema.Fault] = []
    for name, value in values.items() if isinstance(values, dict) else ():
        new = renamed.dotted(".".join((*key, str(name))))
        if new != ".".join((*key, str(name))):
            faults.append(((*key, str(name)), f"is called {new} now: `python -m commands.check --migrate` renames it"))
        faults += _old_names(value, (*key, str(name)))
    return faults


def _ignored_by_dvc(values: Any, key: schema.Key = ()) -> Iterator[schema.Fault]:
    """Yield a fault for each key that DVC's run cache takes for the size of a file, and so ignores."""
    for name, value in values.items() if isinstance(values, dict) else enumerate(values):
        if name in ("size", "nfiles"):
            yield (*key, name), "has a name that DVC's run cache ignores: rename it"
        if isinstance(value, (dict, list)):
            yield from _ignored_by_dvc(value, (*key, str(name)))


def _lines(text: str) -> dict[schema.Key, int]:
    """Line number (from 1) of each key of a YAML text."""
    lines: dict[schema.Key, int] = {}

    def walk(node: yaml.Node, path: schema.Key) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                lines[(*path, key.value)] = key.start_mark.line + 1
                walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                lines[(*path, str(i))] = value.start_mark.line + 1
                walk(value, (*path, str(i)))

    root = yaml.compose(text)
    if root is not None:
        walk(root, ())
    return lines


def _line(lines: dict[schema.Key, int], key: schema.Key) -> int:
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)
