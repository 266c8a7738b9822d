"""Read params.yaml; report its faults with their lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from faces.params import checks, renamed, schema

PATH = Path("params.yaml")
MAX_VALUES = 100_000


class ParamsError(SystemExit):
    """params.yaml is not usable; ends a stage with its message and exit status 1."""


def load(path: Path = PATH) -> schema.Params:
    """Read and check params.yaml.

    Raises ParamsError with one line per fault: `params.yaml:88: train.batch_size: -3 is not a positive whole number`.
    """
    try:
        values = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing: run this from the project's top folder") from None
    except (YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ParamsError(f"{path}: not readable as YAML: {error}") from None
    try:
        params = schema.Params.model_validate(values)
        faults = list(dict.fromkeys([*_ignored_by_dvc(values), *checks.faults(params)]))
    except pydantic.ValidationError as error:
        faults = [schema.schema_fault(detail) for detail in error.errors()]
    if faults:
        faults = list(_old_names(values)) or faults
        raise ParamsError("\n".join(f"{where(key, path)}: {what}" for key, what in faults))
    return params


def parse(text: str | bytes) -> Any:
    """Values of a text in YAML 1.2, as DVC reads it: 5e-05 is a number, and no and yes are words.

    Raises YAMLError, also where a key occurs twice; ValueError where aliases repeat values without end.
    """
    values = YAML(typ="safe", pure=True).load(text)
    left = MAX_VALUES
    waiting = [values]
    while waiting:
        value = waiting.pop()
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left -= len(inner)
        if left < 0:
            raise ValueError(f"it has more than {MAX_VALUES} values")
        waiting += inner
    return values


def where(key: schema.Key, path: Path = PATH) -> str:
    """Line and name of a key, as in errors: `params.yaml:88: train.batch_size`."""
    node, line = YAML(typ="safe", pure=True).compose(path.read_text(encoding="utf-8")), 1
    for part in key:
        node, line = _children(node).get(part, (None, line))
    return f"{path}:{line}: {'.'.join(key)}"


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


def _old_names(values: Any, section: schema.Key = ()) -> Iterator[schema.Fault]:
    """Yield a fault for each key that has a new name."""
    for name, value in values.items() if isinstance(values, dict) else ():
        key = (*section, str(name))
        new = renamed.dotted(".".join(key))
        if new != ".".join(key):
            yield key, f"is called {new} now: `python -m commands.check --migrate` renames it"
        yield from _old_names(value, key)


def _ignored_by_dvc(values: Any, key: schema.Key = ()) -> Iterator[schema.Fault]:
    """Yield a fault for each key that DVC's run cache takes for the size of a file, and so ignores."""
    for name, value in values.items() if isinstance(values, dict) else enumerate(values):
        if name in ("size", "nfiles"):
            yield (*key, name), "has a name that DVC's run cache ignores: rename it"
        if isinstance(value, (dict, list)):
            yield from _ignored_by_dvc(value, (*key, str(name)))


def _children(node: Node | None) -> dict[str, tuple[Node, int]]:
    """Nodes below a node of a YAML text, and the numbers (from 1) of the lines that name them."""
    if isinstance(node, MappingNode):
        return {str(key.value): (value, key.start_mark.line + 1) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return {str(i): (value, value.start_mark.line + 1) for i, value in enumerate(node.value)}
    return {}
