"""Words that have a standard term are not used: as names in code, keys, columns, file names or headings."""

import ast
import re
import subprocess

import pytest

from tests.conftest import ROOT

# As a name, or a part of one between underscores.
WORDS = {
    *(
        "lesson",
        "lessons",
        "teach",
        "told",
        "taught",
        "said",
        "found",
        "growing",
        "rarity",
        "erase",
        "settle",
        "together",
    ),
    *("floor", "floors", "lever", "levers", "probe", "probes", "assess", "describe", "drawn", "sheets", "trainings"),
    *("finding", "pictures", "opened", "answers", "engine", "pairing", "verdicts", "spreads", "resamples", "views"),
}
NAMES = {*WORDS, "each", "of", "mix", "grey", "copies", "spread", "remote", "mixed", "share_", "unfit", "elsewhere"}
PARTS = ("held_out", "give_up", "least_gain", "same_photo", "min_n", "side_runs")
EXEMPT = (
    "faces/params/renamed.py",
    "tests/params/test_renamed.py",
    "reports/published/",
    "reports/baselines/",
    "pretrained/",
)
FILES = [
    path
    for path in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    if not path.startswith(EXEMPT) and (ROOT / path).exists()
]


def words(name):
    return re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)


def bad(name):
    """Whether a name is one of those words, or has one as a part."""
    lower = name.lower().strip("_")
    parts = {word.lower() for word in words(name)}
    return lower in NAMES or bool(parts & WORDS) or any(part in lower for part in PARTS)


def defined(tree):
    """Names that a module defines: functions, classes, arguments, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


@pytest.mark.parametrize("folder", ["faces", "stages", "commands", "app", "benchmarks", "tests"])
def test_names_in_code(folder):
    found_ = {}
    for path in FILES:
        if path.startswith(f"{folder}/") and path.endswith(".py"):
            names = {name for name in defined(ast.parse((ROOT / path).read_text())) if not name.startswith("test_")}
            if wrong := sorted(filter(bad, names)):
                found_[path] = wrong
    assert found_ == {}
