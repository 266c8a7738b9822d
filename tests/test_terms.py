"""One standard term for each thing: its earlier names are no identifiers, keys, columns, file names or headings."""

import ast
import json
import re
import subprocess
from pathlib import PurePosixPath

import pytest
import yaml

from tests.conftest import ROOT

# Forbidden as a whole name, or as a part of one between underscores.
PARTS = {
    *{
        "lesson",
        "lessons",
        "teach",
        "taught",
        "told",
        "said",
        "growing",
        "rarity",
        "erase",
        "settle",
        "probe",
        "probes",
    },
    *{"floor", "floors", "lever", "levers", "assess", "describe", "drawn", "sheets", "trainings", "finding", "doubts"},
    *{"pictures", "opened", "engine", "pairing", "verdicts", "spreads", "resamples", "views", "unfit", "elsewhere"},
}
NAMES = PARTS | {"each", "found", "of", "mix", "grey", "copies", "spread", "share_", "remote", "answers", "together"}
PHRASES = {"held_out", "give_up", "least_gain", "same_photo", "min_n", "side_runs"}
EXEMPT = re.compile(
    r"faces/params/renamed\.py|tests/params/test_renamed\.py|tests/test_terms\.py|reports/(published|baselines)/|pretrained/|benchmarks/seeds/"
)
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
FILES = [PurePosixPath(path) for path in TRACKED if not EXEMPT.match(path) and (ROOT / path).exists()]


def forbidden(name):
    """Whether a name is one of those words, or has one as a part."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])|[\s/.-]+", "_", name.strip("_")).lower()
    parts = plain.split("_")
    return plain in NAMES or bool(PARTS & set(parts)) or any(f"_{part}_" in f"_{plain}_" for part in PHRASES)


def of_type(suffix, folder=""):
    return [path for path in FILES if path.suffix == suffix and str(path).startswith(folder)]


def identifiers(tree):
    """Names that a module defines: functions, classes, arguments, variables, attributes and keyword arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.arg or ""
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def keys(value):
    """Keys of nested mappings and lists."""
    if isinstance(value, dict):
        yield from map(str, value)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from keys(item)


def headings(text):
    return re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)


@pytest.mark.parametrize("name", ["held_out", "out_held_out", "GateFloors", "min_n", "found", "a.spreads", "Unfit"])
def test_forbidden(name):
    assert forbidden(name)


@pytest.mark.parametrize("name", ["min_negative", "founder", "detected", "background", "tolerance", "offset"])
def test_not_forbidden(name):
    assert not forbidden(name)


def wrong(paths, names):
    """Forbidden names of each file that has some."""
    by_file = {str(path): sorted(set(filter(forbidden, names((ROOT / path).read_text())))) for path in paths}
    return {path: bad for path, bad in by_file.items() if bad}


def test_identifiers():
    def names(text):
        return (name for name in identifiers(ast.parse(text)) if not name.startswith("test_"))

    assert wrong(of_type(".py"), names) == {}


def test_keys():
    assert wrong(of_type(".yaml"), lambda text: keys(yaml.safe_load(text))) == {}
    assert wrong(of_type(".json"), lambda text: keys(json.loads(text))) == {}


def test_columns():
    assert wrong(of_type(".csv"), lambda text: text.splitlines()[0].split(",")) == {}


def test_headings():
    assert wrong(of_type(".md"), headings) == {}


def test_file_names():
    assert [str(path) for path in FILES if any(map(forbidden, (*path.parts[:-1], path.stem)))] == []
