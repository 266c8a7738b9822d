"""Reproduce a registered model in another folder, from its commit, changes and params, and compare the two.

It prints what differed in the inputs and results, then a verdict: *identical* (weights, predictions and scores, to the
byte), *within seed spread* (its test scores differ by no more than another seed's would) or *different*, with exit
status 1.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml

from faces import params, targets
from faces.evaluation import metrics, predictions
from faces.gate import baselines, paired, seed_spread
from faces.params import renamed
from faces.runtime import dvc_internals
from faces.tracking import lineage, origin, registry, runs, store

TOLERANCE_SD = 3.0  # standard deviations of the difference between two seeds by which a score may differ


def main() -> None:
    """Clone, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="models:/NAME@champion or models:/NAME/VERSION")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of params.yaml")
    parser.add_argument("--source", help="where the archives come from, instead of data.source")
    parser.add_argument("--folder", type=Path, help="new folder to run in; a temporary one unless given")
    args = parser.parse_args()
    client, version, run = registry.find_version(args.model)
    name = run.data.tags["model"]
    artifacts = lineage.folder(version.tags.get("onnx_sha256", ""))
    kept = json.loads(runs.artifact(client, run, f"{artifacts}/lineage.json") or "{}")
    if not kept:
        raise SystemExit(f"{args.model}: its run has no lineage: `dvc repro -f log@{name}` at its commit writes it")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary, "faces")
        check_out(folder, kept["commit"], runs.artifact(client, run, f"{artifacts}/{origin.DIFF}"))
        old = yaml.safe_load(runs.artifact(client, run, f"{artifacts}/params.yaml"))
        new = changed(old, args.set, args.source, run)
        (folder / "params.yaml").write_text(yaml.safe_dump(new, sort_keys=False))
        failure = repro(folder, name)
        row = params.Model.model_validate(renamed.translate(copy.deepcopy(old))["models"][name])
        digests = archive_digests(args.source, kept["digests"]) | lineage.digests(name, row, folder)
        lines = [f"params {key}: {a!r} -> {b!r}" for key, (a, b) in
                 lineage.changes(runs.flatten(old), runs.flatten(new)).items()]  # fmt: skip
        machine = lineage.changes({k: run.data.tags.get(k) for k in origin.machine()}, origin.machine())
        lines += [f"{key}: {a} -> {b}" for key, (a, b) in machine.items()]
        lines += [f"package {key}: {a} -> {b}" for key, (a, b) in
                  lineage.changes(kept["packages"], origin.packages()).items()]  # fmt: skip
        reached = [key for key in kept["digests"] if key in digests or not failure]
        lines += [f"{key}: sha256 {short(a)} -> {short(b)}" for key, (a, b) in
                  lineage.changes({key: kept["digests"][key] for key in reached}, digests).items()]  # fmt: skip
        verdict, rows = failure, []
        if not failure:
            before = json.loads(runs.artifact(client, run, f"{artifacts}/metrics.json"))
            rows = score_rows(before, json.loads((folder / predictions.FOLDER / name / "metrics.json").read_text()))
            verdict = judged(kept["digests"], digests, rows, *allowed_differences(run, name))
    print(f"\n{args.model}, {name}, version {version.version}:\n")
    print("\n".join(f"- {line}" for line in lines) or "- nothing differed")
    if rows:
        print("\n" + pd.DataFrame(rows).to_markdown(index=False))
    print(f"\n{verdict}")
    sys.exit(verdict.startswith("different"))


def short(digest: str | None) -> str:
    """First digits of a digest."""
    return f"{digest[:16]}…" if digest else "none"


def check_out(folder: Path, commit: str, diff: str) -> None:
    """Clone this repository into a folder at a commit, and apply the changes that were not committed."""
    for command in (["git", "clone", "--quiet", "--no-checkout", ".", str(folder)],
                    ["git", "-C", str(folder), "fetch", "--quiet", "origin", dvc_internals.EXPERIMENTS],
                    ["git", "-C", str(folder), "checkout", "--quiet", commit]):  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and command[3] != "fetch":
            raise SystemExit(f"commit {commit} cannot be checked out here: {done.stderr.strip()}")
    if "diff --git" in diff:
        patch = diff.encode(errors="surrogateescape")
        done = subprocess.run(["git", "apply", "--whitespace=nowarn"], cwd=folder, input=patch, capture_output=True,
                              check=False)  # fmt: skip
        if done.returncode:
            raise SystemExit(f"the run's changes cannot be applied to {commit}: {done.stderr.decode().strip()}")


def changed(old: dict, settings: list[str], source: str | None, run: object) -> dict:
    """params.yaml with keys set, KEY=VALUE; with another source, the budget stays the one that the model had."""
    new = copy.deepcopy(old)
    for text in settings:
        key, sign, value = text.partition("=")
        *parents, last = key.split(".")
        section = new
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if not sign or not isinstance(section, dict) or last not in section:
            raise SystemExit(f"--set {text}: {key} is not a key of params.yaml; write KEY=VALUE, as seed=2")
        section[last] = yaml.safe_load(value)
    if source is not None:
        new["data"]["source"] = str(Path(source).resolve()) if "://" not in source else source
        if new["budget"] == "auto":  # of runs before version 1.0.0
            new["budget"] = "sample" if run.data.tags["source_kind"] == "sample" else "real"
        elif new["budget"] == "sample":  # which is refused for other sources than the sample
            new["budget"], new["budgets"]["reproduced"] = "reproduced", new["budgets"]["sample"]
    return new


def archive_digests(source: str | None, digests: dict[str, str]) -> dict[str, str]:
    """Digests of the archives in a folder, by the names in a run's digests, also where the pipeline rejects them."""
    names = [key.removeprefix("archive ") for key in digests if key.startswith("archive ")] if source else []
    files = {name: Path(source, name) for name in names}
    return {f"archive {name}": lineage.digest(path) for name, path in files.items() if path.is_file()}


def repro(folder: Path, name: str) -> str:
    """Run the pipeline up to the scores of a model; returns '', or a verdict where it failed."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for variable in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME"):
        environment.pop(variable, None)  # so that its training is logged in the folder
    command = [sys.executable, "-m", "dvc", "repro", f"evaluate@{name}"]
    done = subprocess.run(command, cwd=folder, env=environment, check=False)
    if done.returncode:
        return "different: the pipeline failed, as shown above"
    out = predictions.FOLDER / name
    if (folder / out).exists():
        return ""
    return f"different: its commit writes no {out}; use `make reproduce` of that commit"


def score_rows(old: dict, new: dict) -> list[dict]:
    """Rows of the scores on test of two metrics.json: score, was, is."""
    old, new = old.get("test", {}), new.get("test", {})
    return [{"score": key, "was": old.get(key), "is": new.get(key)} for key in {**old, **new}]


def allowed_differences(run: object, name: str) -> tuple[dict[str, float], bool]:
    """Largest difference {score: value} of headline scores between two seeds; and whether it was measured."""
    p = params.load()
    experiment = store.open_client().get_experiment(run.info.experiment_id).name
    baseline = baselines.load(baselines.baseline_name(experiment))
    seeds = baseline.seed_sd if baseline is not None else pd.DataFrame(columns=["model", "target", "slice", "n", "sd"])
    seeds = seeds[seeds["model"] == name]
    wanted = yaml.safe_load(run.data.params["model.targets"])
    whole = pd.DataFrame([{"target": key, "slice": paired.ALL, "n": 1e9} for key in wanted])
    margins = seed_spread.margins(seeds, whole, p.gate.model_copy(update={"tolerance_sd": TOLERANCE_SD}))
    headlines = {key: f"{key}_{metrics.HEADLINE[targets.TARGETS[key].kind]}" for key in wanted}
    allowed = {headlines[key]: float(margins[key, paired.ALL]) for key in wanted}
    return allowed, set(wanted) <= set(seeds["target"])


def judged(old: dict, new: dict, rows: list[dict], allowed: dict[str, float], measured: bool) -> str:
    """The verdict; old, new: digests; rows: of score_rows; allowed, measured: of allowed_differences."""
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
    main()
