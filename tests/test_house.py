"""dvc.yaml tells the truth: every stage lists the modules that it imports and the params that it reads."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from stages.lib import fingerprint, params
from tests.conftest import ROOT

# Cannot change what a stage writes; see the head of dvc.yaml.
QUIET = {*fingerprint.QUIET, "served_model"}
LOADS = {"params.load()"}
TENSORFLOW = re.compile(r"^\s*(import|from) (tensorflow|keras)", re.M)
MEANT = {
    "budget_for": {"budget", "budgets"},
    "for_row": {"budget", "budgets", "train"},
}
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def body(name):
    return STAGES[name].get("do", STAGES[name])


def imported(path, quiet=QUIET):
    """Files of the project that a file imports, in functions too, less the quiet ones."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.startswith("stages.lib."):
                base = ROOT / name.replace(".", "/")
                found |= {p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()}
    return {p for p in found if p.stem not in quiet}


def needed(path, quiet=QUIET):
    """Files that a file imports, and what those import."""
    seen, todo = set(), [path]
    while todo:
        for found in imported(todo.pop(), quiet) - seen:
            seen.add(found)
            todo.append(found)
    return {str(p.relative_to(ROOT)) for p in seen}


@pytest.mark.parametrize("name", STAGES)
def test_each_import_is_a_dependency(name):
    listed = [dep for dep in body(name)["deps"] if dep.endswith(".py")]
    patterns = [re.sub(r"\\\$\\\{.*?\\\}", "[a-z_]+", re.escape(dep)) for dep in listed]
    wanted = needed(ROOT / f"stages/{name}.py") | {f"stages/{name}.py"}
    if any(TENSORFLOW.search(Path(ROOT, path).read_text()) for path in wanted):
        wanted.add("stages/__init__.py")  # says how TensorFlow computes
    used = wanted | needed(ROOT / f"stages/{name}.py", quiet=frozenset())
    if any("datasets/${" in dep for dep in listed):  # a module that is found by its name
        used |= {path for module in ROOT.glob("stages/lib/datasets/*.py") for path in needed(module)}
    folders = tuple(f"{dep}/" for dep in body(name)["deps"] if dep.startswith("stages/") and not dep.endswith(".py"))
    missing = [path for path in wanted if not any(re.fullmatch(p, path) for p in patterns)]
    missing = [path for path in missing if not (folders and path.startswith(folders))]
    idle = [dep for dep in listed if "${" not in dep and dep not in used]
    assert (missing, idle) == ([], [])


def sections(path):
    """Sections of params that a stage reads: attributes of params.load() and of the name it is given."""
    tree = ast.parse(path.read_text())
    names = {
        node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value) in LOADS
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (
            ast.unparse(node.value) == "params.load()" or (isinstance(node.value, ast.Name) and node.value.id in names)
        ):
            found |= MEANT.get(node.attr, {node.attr.rstrip("_")})
    return found


@pytest.mark.parametrize("name", STAGES)
def test_each_section_that_is_read_is_listed(name):
    listed = {entry.split(".")[0] for entry in body(name).get("params", [])}
    assert listed == sections(ROOT / f"stages/{name}.py")


def test_a_search_hangs_on_all_of_train_but_its_seed():
    listed = {entry for entry in body("tune")["params"] if entry.startswith("train.")}
    assert listed == {f"train.{key}" for key in params.Train.model_fields} - {"train.seed"}


def test_every_stage_is_a_file_and_says_what_it_does():
    files = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert files == set(STAGES)
    assert all(body(name)["desc"] for name in STAGES)


def test_only_tracking_imports_mlflow():
    imports = re.compile(r"^\s*(import|from) mlflow", re.M)
    users = {p.name for p in (ROOT / "stages").rglob("*.py") if imports.search(p.read_text())}
    assert users == {"tracking.py", "served_model.py"}


def test_prediction_needs_no_tensorflow():
    wanted = needed(ROOT / "stages/lib/predictor.py") | {"stages/lib/predictor.py"}
    for path in wanted:
        assert not TENSORFLOW.search(Path(ROOT, path).read_text())
