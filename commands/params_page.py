"""Write docs/params.md: each key of params.yaml with its value, legal values and meaning.

Legal values come from the schema, values from params.yaml, meanings from its comments and the schema's docstrings.
"""

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from commands import command_line
from faces import params
from faces.params import loading, schema

PAGE = Path("docs/params.md")
HEAD = """# Parameters

This page lists every key of `params.yaml` with its value in this repository, its legal values and its meaning.

NAME is the name of a row. `python -m commands.params_page` writes this page.
"""
TYPES = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "null": "null",
}
LINE = re.compile(r"(?P<indent> *)(?P<key>\w+):[^#]*(# (?P<comment>.*))?")


def main() -> None:
    """Write the page."""
    command_line.parser(__doc__).parse_args()
    PAGE.write_text(page(params.PATH.read_text()))
    print(f"{PAGE} is written")


def page(text: str) -> str:
    """The page for the text of params.yaml."""
    values, comments = loading.parse(text), dict(commented(text))
    described = schema.Params.model_json_schema()
    lines = [HEAD]
    for section in values:
        lines += [f"## {section}", "", *([comments[section], ""] if comments[section] else [])]
        lines += ["| key | value | legal values | meaning |", "| --- | --- | --- | --- |"]
        for key, node in leaves(section, described["properties"][section], described["$defs"]):
            value, pattern = values, key.replace("NAME", "*")
            for part in key.split("."):
                value = value.get(part, "") if isinstance(value, dict) else ""
            shown = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
            comment = next((comments[k] for k in fnmatch.filter(comments, pattern) if k != section), "")
            meaning = node.get("meaning") or comment
            lines.append(f"| `{key}` | {f'`{shown}`' if value != '' else ''} | {legal(node)} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def commented(text: str) -> Iterator[tuple[str, str]]:
    """Yield each key, with dots, and its comment: at the end of its line, or above a section."""
    above: list[str] = []
    path: list[str] = []
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        if match:
            path = [*path[: len(match["indent"]) // 2], match["key"]]
            yield ".".join(path), match["comment"] or " ".join(above)
        above = [*above, line[2:]] if line.startswith("# ") else []


def leaves(key: str, node: dict, definitions: dict[str, dict]) -> Iterator[tuple[str, dict]]:
    """Yield each key below a key of the schema, with dots and NAME for a row, and its JSON schema."""
    row = node.get("additionalProperties") or node.get("items")
    node = definitions[node["$ref"].removeprefix("#/$defs/")] if "$ref" in node else node
    if "properties" in node:
        meanings = dict(re.findall(r"^(\w+): (.+)", node.get("description", ""), re.MULTILINE))
        for name, child in node["properties"].items():
            yield from leaves(f"{key}.{name}", child | {"meaning": meanings.get(name)}, definitions)
    elif isinstance(row, dict) and "$ref" in row:
        yield from leaves(f"{key}.NAME", row, definitions)
    else:
        yield key, node


def legal(node: dict) -> str:
    """Legal values of a key, in words."""
    if "enum" in node:
        return ", ".join(node["enum"])
    if "anyOf" in node:
        return " or ".join(map(legal, node["anyOf"]))
    if node.get("type") == "array":
        return f"a list; each: {legal(node['items'])}"
    if node.get("type") == "object":
        return "a mapping"
    return node.get("description") or TYPES[node["type"]]


if __name__ == "__main__":
    command_line.run(main)
