"""Reproduce a registered model in another folder, from its commit, changes and params, and compare the two.

It prints what differed in the inputs and results, then a verdict: *identical* (weights, predictions and scores, to the
byte), *within seed spread* (its test scores differ by no more than another seed's would) or *different*, with exit
status 1.
"""

import copy
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml

from commands import command_line
from faces import params, targets
from faces.data import records
from faces.evaluation import metrics, predictions
from faces.gate import baselines, paired, tolerance
from faces.params import loading, renamed
from faces.runtime import dvc_internals
from faces.tracking import lineage, origin, registry, runs, store

FLAGS = "processor_flags"
TOLERANCE_SD = 3.0  # standard deviations of the difference between two seeds by which a score may differ


def main() -> None:
    """Clone, run, compare."""
    parser = command_line.parser(__doc__)
    parser.add_argument("model", help="models:/NAME@champion or models:/NAME/VERSION")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of params.yaml")
    parser.add_argument("--source", help="where the archives come from (default: data.source)")
    parser.add_argument("--folder", type=Path, help="new folder to run in (default: a temporary one)")
    args = parser.parse_args()
    store.require_server()
    client, version, run = registry.find_version(args.model)
    name, artifacts = run.data.tags["model"], lineage.folder(version.tags.get("onnx_sha256", ""))
    files = ("lineage.json", "params.yaml", "metrics.json", origin.DIFF)
    texts = {file: runs.artifact(client, run, f"{artifacts}/{file}") for file in files}
    command_line.require(
        texts["lineage.json"],
        f"{args.model}: its run has no lineage: `dvc repro -f log@{name}` at its commit writes it",
    )
    kept, old = json.loads(texts["lineage.json"]), loading.parse(texts["params.yaml"])
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary, "faces")
        check_out(folder, kept["commit"], texts[origin.DIFF])
        new = changed(old, args.set, args.source, run)
        name_starts(new, folder)
        (folder / "params.yaml").write_text(yaml.safe_dump(new, sort_keys=False))
        verdict, rows = repro(folder, name), []
        row = params.Model.model_validate(renamed.translate(copy.deepcopy(old))["models"][name])
        digests = archive_digests(args.source, kept["digests"]) | lineage.digests(name, row, folder)
        reached = {key: digest for key, digest in kept["digests"].items() if key in digests or not verdict}
        machine = origin.machine()
        before = facts(old, {key: run.data.tags.get(key) for key in machine}, kept["packages"], reached)
        changes = lineage.changes(before, facts(new, machine, origin.packages(), digests))
        if not verdict:
            made = records.read_json(folder / predictions.FOLDER / name / "metrics.json").get("test", {})
            scores = json.loads(texts["metrics.json"]).get("test", {})
            rows = [{"score": key, "was": scores.get(key), "is": made.get(key)} for key in {**scores, **made}]
            verdict = judged(kept["digests"], digests, rows, *allowed_differences(run, name))
    print(f"\n{args.model}, {name}, version {version.version}:\n")
    print("\n".join(f"- {key}: {a} -> {b}" for key, (a, b) in changes.items()) or "- nothing differed")
    if rows:
        print("\n" + pd.DataFrame(rows).to_markdown(index=False))
    if first := lineage.first_difference(kept["digests"], digests):
        print(f"\n{first}")
    print(f"\n{verdict}")
    sys.exit(verdict.startswith("different"))


def facts(values: dict, machine: dict, packages: dict[str, str], digests: dict[str, str]) -> dict[str, str]:
    """What a result depends on, as text by name, with digests cut to their first digits; values: of params.yaml."""
    return {
        **{f"params {key}": repr(value) for key, value in runs.flatten(values).items() if value is not None},
        **{key: text for key, text in machine.items() if key != FLAGS},
        **{f"processor flag {flag}": "there" for flag in (machine.get(FLAGS) or "").split()},
        **{f"package {name}": number for name, number in packages.items()},
        **{key: f"sha256 {digest[:16]}…" for key, digest in digests.items()},
    }


def check_out(folder: Path, commit: str, diff: str) -> None:
    """Clone this repository into a folder at a commit, and apply the changes that were not committed."""
    for command in (["git", "clone", "--quiet", "--no-checkout", ".", str(folder)],
                    ["git", "-C", str(folder), "fetch", "--quiet", "origin", dvc_internals.EXPERIMENTS],
                    ["git", "-C", str(folder), "checkout", "--quiet", commit]):  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        command_line.require(
            done.returncode == 0 or command[3] == "fetch",
            f"commit {commit} cannot be checked out here: {done.stderr.strip()}",
        )
    if "diff --git" in diff:
        done = subprocess.run(["git", "apply", "--whitespace=nowarn"], cwd=folder, input=diff, capture_output=True,
                              check=False, encoding="utf-8", errors="surrogateescape")  # fmt: skip
        command_line.require(
            done.returncode == 0, f"the run's changes cannot be applied to {commit}: {done.stderr.strip()}"
        )


def changed(old: dict, settings: list[str], source: str | None, run: object) -> dict:
    """params.yaml with keys set, KEY=VALUE; with another source, the budget stays the one that the model had."""
    new = copy.deepcopy(old)
    for text in settings:
        key, sign, value = text.partition("=")
        *parents, last = key.split(".")
        section = new
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        command_line.require(
            sign and isinstance(section, dict) and last in section,
            f"--set {text}: {key} is not a key of params.yaml; write KEY=VALUE, as seed=2",
        )
        section[last] = loading.parse(value)
    if source is not None:
        new["data"]["source"] = str(Path(source).resolve()) if "://" not in source else source
        if new["budget"] == "auto":  # of runs before version 1.0.0
            new["budget"] = "sample" if run.data.tags["source_kind"] == "sample" else "real"
        elif new["budget"] == "sample":  # which is refused for other sources than the sample
            new["budget"], new["budgets"]["reproduced"] = "reproduced", new["budgets"]["sample"]
    return new


def name_starts(values: dict, folder: Path) -> None:
    """Name in full, in place, each copied model that a row starts from, since git does not have it; values: params."""
    for row in values["models"].values():
        start = Path(row.get("start_from", ""))
        if "start_from" in row and start.parent != Path("data/models") and not (folder / start).exists():
            row["start_from"] = str(start.resolve())


def archive_digests(source: str | None, digests: dict[str, str]) -> dict[str, str]:
    """Digests of the archives in a folder, by the names in a run's digests, also where the pipeline rejects them."""
    names = [key.removeprefix("archive ") for key in digests if source and key.startswith("archive ")]
    return {f"archive {name}": lineage.digest(Path(source, name)) for name in names if Path(source, name).is_file()}


def repro(folder: Path, name: str) -> str:
    """Run the pipeline up to the scores of a model; returns '', or a verdict where it failed."""
    unset = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME")  # so that the training is logged in the folder
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command, out = [sys.executable, "-m", "dvc", "repro", f"evaluate@{name}"], predictions.FOLDER / name
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        return "different: the pipeline failed, as shown above"
    missing = f"different: its commit writes no {out}; use `make reproduce` of that commit"
    return "" if (folder / out).exists() else missing


def allowed_differences(run: object, name: str) -> tuple[dict[str, float], bool]:
    """Largest difference {score: value} of headline scores between two seeds; and whether it was measured."""
    p = params.load()
    experiment = store.open_client().get_experiment(run.info.experiment_id).name
    seeds = (baselines.load(baselines.baseline_name(experiment)) or baselines.Baseline({}, {})).seed_sd
    seeds = seeds[seeds["model"] == name]
    wanted = loading.parse(run.data.params["model.targets"])
    whole = pd.DataFrame([{"target": key, "slice": paired.ALL, "n": 1e9} for key in wanted])
    tolerances = tolerance.tolerances(seeds, whole, p.gate.model_copy(update={"tolerance_sd": TOLERANCE_SD}))
    allowed = {
        f"{key}_{metrics.HEADLINE[targets.TARGETS[key].kind]}": float(tolerances[key, paired.ALL]) for key in wanted
    }
    return allowed, set(wanted) <= set(seeds["target"])


def judged(old: dict, new: dict, rows: list[dict], allowed: dict[str, float], measured: bool) -> str:
    """The verdict; old, new: digests; rows: score, was, is; allowed, measured: of allowed_differences."""
    if all(old.get(key) == new.get(key) for key in lineage.RESULTS):
        return "identical"
    far = [
        row
        for row in rows
        if row["score"] in allowed
        and (row["was"] is None or row["is"] is None or abs(row["is"] - row["was"]) > allowed[row["score"]])
    ]
    if far:
        return "different: " + ", ".join(f"{row['score']} {row['was']} -> {row['is']}" for row in far)
    return (
        "within seed spread"
        if measured
        else "within gate.tolerance_years and gate.tolerance_accuracy; seed spread was not measured"
    )


if __name__ == "__main__":
    command_line.run(main)
