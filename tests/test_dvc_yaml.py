"""dvc.yaml tells the truth: every stage lists the modules that it imports and the params that it reads."""

import ast
import re

import pytest
import yaml

from faces.params import checks
from tests.conftest import ROOT

# Code that cannot change what a stage writes, and what of it can; see the head of dvc.yaml.
QUIET = ("faces/params/", "faces/runtime/", "faces/tracking/", "faces/training/fingerprint.py")
COUNTS = "faces/params/overrides.py"
LOADS = {"params.load()"}
TENSORFLOW = re.compile(r"^\s*(import|from) (tensorflow|keras)", re.M)
CALLS = {"overrides.for_row": {"budget", "budgets", "seed", "train"}}  # sections that a function reads
FILES = {"no_teachers": "teachers"}  # stages that are not called like their file
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def body(name):
    return STAGES[name].get("do", STAGES[name])


def imported(path):
    """Files of the project that a file imports, in functions too."""
    result = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for base in (name.replace(".", "/") for name in names if f"{name}.".startswith("faces.")):
            result |= {file for file in (f"{base}.py", f"{base}/__init__.py") if (ROOT / file).exists()}
    return result


def needed(path, counts=lambda file: True):
    """Files that a file imports, and what those import; of those that count."""
    seen, todo = set(), [path]
    while todo:
        for result in filter(counts, imported(todo.pop()) - seen):
            seen.add(result)
            todo.append(result)
    return seen


def changes_results(path):
    """Whether a file may change what a stage writes: it is not quiet, and says more than what its package is."""
    if path.endswith("/__init__.py") and len(ast.parse((ROOT / path).read_text()).body) == 1:
        return False
    return path == COUNTS or not path.startswith(QUIET)


@pytest.mark.parametrize("name", [name for name in STAGES if name not in FILES])
def test_each_import_is_a_dependency(name):
    code = [dep for dep in body(name)["deps"] if dep.startswith(("stages/", "faces/"))]
    patterns = [re.sub(r"\\\$\\\{.*?\\\}", "[a-z_]+", re.escape(dep)) for dep in code]
    patterns = [
        pattern if dep.endswith(".py") else f"{pattern}/.*" for dep, pattern in zip(code, patterns, strict=True)
    ]
    stage = f"stages/{name}.py"
    wanted = needed(stage, changes_results) | {stage}
    if not any(TENSORFLOW.search((ROOT / path).read_text()) for path in wanted):
        wanted.discard("faces/__init__.py")  # says how TensorFlow computes
    used = {stage, *needed(stage)}
    if any("datasets/${" in dep for dep in code):  # a module that is found by its name
        used |= {path for module in ROOT.glob("faces/data/datasets/*.py") for path in needed(module.relative_to(ROOT))}
    missing = {path for path in wanted if not any(re.fullmatch(pattern, path) for pattern in patterns)}
    idle = {
        dep
        for dep, pattern in zip(code, patterns, strict=True)
        if "${" not in dep and not any(re.fullmatch(pattern, path) for path in used)
    }
    assert (missing, idle) == (set(), set())


def test_no_file_of_a_user_may_be_where_a_stage_writes():
    outs = [next(iter(out)) if isinstance(out, dict) else out for name in STAGES for out in body(name).get("outs", [])]
    assert {out for out in outs if not out.startswith(tuple(f"{folder}/" for folder in checks.STAGE_FOLDERS))} == set()


@pytest.mark.parametrize("name", ["teachers", "tune", "train"])
def test_a_new_score_network_or_dataset_trains_no_model_again(name):
    code = needed(f"stages/{name}.py", changes_results)
    extended = ("faces/data/datasets/", "faces/evaluation/", "faces/networks/", "faces/scores.py")
    allowed = {"faces/evaluation/selection.py", "faces/networks/__init__.py"}
    allowed |= {"faces/evaluation/gains.py"} if name == "tune" else set()  # which names no score
    assert {path for path in code if path.startswith(extended)} == allowed


def sections(path):
    """Sections of params that a file reads: attributes of what params.load gives, and of arguments that are Params."""
    result = set()
    for function in ast.walk(ast.parse((ROOT / path).read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        args = function.args.args
        names = {arg.arg for arg in args if arg.annotation and ast.unparse(arg.annotation) == "params.Params"}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and ast.unparse(node.value) in LOADS:
                names.add(node.targets[0].id)
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {*names, *LOADS}:
                result.add(node.attr.rstrip("_"))
            elif isinstance(node, ast.Call):
                result |= CALLS.get(ast.unparse(node.func), set())
    return result


@pytest.mark.parametrize("name", [name for name in STAGES if name not in FILES])
def test_each_section_that_is_read_is_listed(name):
    listed = {entry.split(".")[0] for entry in body(name).get("params", []) if isinstance(entry, str)}
    stage = f"stages/{name}.py"
    read = set().union(*map(sections, {stage, *needed(stage, changes_results)} - {COUNTS}))
    assert listed == read - ({"seed"} if name == "tune" else set())  # which has a seed of its own, tune.seed


def test_stages_list_the_versions_of_packages_that_the_lock_has():
    locked = yaml.safe_load((ROOT / "versions.yaml").read_text())
    for package, version in locked.items():
        assert f"\n{package}=={version} ;" in (ROOT / "requirements.txt").read_text()
    rows = [
        entry["versions.yaml"] for name in STAGES for entry in body(name).get("params", []) if isinstance(entry, dict)
    ]
    assert {package for row in rows for package in row} <= set(locked)
    assert {"tensorflow", "keras", "numpy", "pillow"} <= set(body("train")["params"][-1]["versions.yaml"])


def test_every_stage_is_a_file_and_says_what_it_does():
    files = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert files == set(STAGES) - set(FILES)
    assert all(body(name)["desc"] for name in STAGES)


def test_only_tracking_imports_mlflow():
    imports = re.compile(r"^\s*(import|from) mlflow", re.M)
    users = {path.parent for path in (ROOT / "faces").rglob("*.py") if imports.search(path.read_text())}
    assert users == {ROOT / "faces/tracking"}


def test_prediction_needs_no_tensorflow():
    for path in needed("faces/inference/predictor.py") | {"faces/inference/predictor.py"}:
        assert not TENSORFLOW.search((ROOT / path).read_text())
