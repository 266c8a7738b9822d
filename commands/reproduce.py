"""Make a registered model again, elsewhere, from its commit, changes and params; say whether it is the same.

It ends in one word: *identical* (the model, its predictions and its scores, to the byte), *within seed spread* (its
test scores differ by no more than another seed's would) or *different*; and in what differed on the way. Exit status
1 where it is different.
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
from faces.tracking import lineage, origin, registry, runs, store

SPREADS = 3.0  # standard deviations of a difference between seeds that a score may be away


def main() -> None:
    """Clone, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="models:/NAME@champion or models:/NAME/VERSION")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of params.yaml")
    parser.add_argument("--source", help="take the archives from here instead of data.source")
    parser.add_argument(
        "--folder", type=Path, help="run in this folder, which must be new; a temporary one unless given"
    )
    words = parser.parse_args()
    client, version, run = registry.find_version(words.model)
    name = run.data.tags["model"]
    folder_of = lineage.folder(version.tags.get("onnx_sha256", ""))
    kept = json.loads(runs.artifact(client, run, f"{folder_of}/lineage.json") or "{}")
    if not kept:
        raise SystemExit(f"{words.model}: its run keeps no lineage: `dvc repro -f log@{name}` of its commit writes it")
    with tempfile.TemporaryDirectory() as temporary:
        folder = words.folder or Path(temporary, "faces")
        check_out(folder, kept["commit"], runs.artifact(client, run, f"{folder_of}/{origin.DIFF}"))
        old = yaml.safe_load(runs.artifact(client, run, f"{folder_of}/params.yaml"))
        new = changed(old, words.set, words.source, run)
        (folder / "params.yaml").write_text(yaml.safe_dump(new, sort_keys=False))
        failure = repro(folder, name)
        row = params.Model.model_validate(old["models"][name])
        found = in_source(words.source, kept["digests"]) | lineage.digests(name, row, folder)
        lines = [f"params {key}: {a!r} -> {b!r}" for key, (a, b) in
                 lineage.changes(runs.flatten(old), runs.flatten(new)).items()]  # fmt: skip
        machine = lineage.changes({k: run.data.tags.get(k) for k in origin.machine()}, origin.machine())
        lines += [f"{key}: {a} -> {b}" for key, (a, b) in machine.items()]
        lines += [f"package {key}: {a} -> {b}" for key, (a, b) in
                  lineage.changes(kept["packages"], origin.packages()).items()]  # fmt: skip
        made = [key for key in kept["digests"] if key in found or not failure]
        lines += [f"{key}: sha256 {short(a)} -> {short(b)}" for key, (a, b) in
                  lineage.changes({key: kept["digests"][key] for key in made}, found).items()]  # fmt: skip
        verdict, rows = failure, []
        if not failure:
            was = json.loads(runs.artifact(client, run, f"{folder_of}/metrics.json"))
            rows = scores(was, json.loads((folder / predictions.FOLDER / name / "metrics.json").read_text()))
            verdict = judged(kept["digests"], found, rows, *spread_of(run, name))
    print(f"\n{words.model}, {name}, version {version.version}:\n")
    print("\n".join(f"- {line}" for line in lines) or "- nothing differed on the way")
    if rows:
        print("\n" + pd.DataFrame(rows).to_markdown(index=False))
    print(f"\n{verdict}")
    sys.exit(verdict.startswith("different"))


def short(digest: str | None) -> str:
    """The first digits of a digest."""
    return f"{digest[:16]}…" if digest else "none"


def check_out(folder: Path, commit: str, diff: str) -> None:
    """Make a folder with a commit of this repository and the changes that were not committed."""
    for command in (["git", "clone", "--quiet", "--no-checkout", ".", str(folder)],
                    ["git", "-C", str(folder), "fetch", "--quiet", "origin", "refs/exps/*:refs/exps/*"],
                    ["git", "-C", str(folder), "checkout", "--quiet", commit]):  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and command[3] != "fetch":
            raise SystemExit(f"commit {commit} can't be checked out here: {done.stderr.strip()}")
    if "diff --git" in diff:
        patch = diff.encode(errors="surrogateescape")
        done = subprocess.run(["git", "apply", "--whitespace=nowarn"], cwd=folder, input=patch, capture_output=True,
                              check=False)  # fmt: skip
        if done.returncode:
            raise SystemExit(
                f"the changes that the run kept can't be applied to {commit}: {done.stderr.decode().strip()}"
            )


def changed(old: dict, settings: list[str], source: str | None, run: object) -> dict:
    """params.yaml with keys set; with another source, the budget stays the one that the model was trained under."""
    new = copy.deepcopy(old)
    for text in settings:
        key, sign, value = text.partition("=")
        *parents, last = key.split(".")
        place = new
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if not sign or not isinstance(place, dict) or last not in place:
            raise SystemExit(f"--set {text}: {key} is not a key of params.yaml; write KEY=VALUE, as train.seed=2")
        place[last] = yaml.safe_load(value)
    if source is not None:
        new["data"]["source"] = str(Path(source).resolve()) if "://" not in source else source
        if new["budget"] == "auto":
            new["budget"] = "sample" if run.data.tags["source_kind"] == "sample" else "real"
    return new


def in_source(source: str | None, digests: dict[str, str]) -> dict[str, str]:
    """Digests of the archives in a folder, under the names that the run knows, also where the pipeline refuses them."""
    names = [key.removeprefix("archive ") for key in digests if key.startswith("archive ")] if source else []
    files = {name: Path(source, name) for name in names}
    return {f"archive {name}": lineage.digest(path) for name, path in files.items() if path.is_file()}


def repro(folder: Path, name: str) -> str:
    """Run the pipeline up to the scores of a model; returns '' or what went wrong."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for variable in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME"):
        environment.pop(variable, None)  # its training is logged in the folder, and goes with it
    command = [sys.executable, "-m", "dvc", "repro", f"evaluate@{name}"]
    done = subprocess.run(command, cwd=folder, env=environment, check=False)
    if done.returncode:
        return "different: the pipeline failed, as said above"
    made = predictions.FOLDER / name
    return (
        "" if (folder / made).exists() else f"different: its commit writes no {made}; reproduce it with that commit's"
    )


def scores(old: dict, new: dict) -> list[dict]:
    """Rows of the scores on test of two metrics.json: score, was, is."""
    was, is_ = old.get("test", {}), new.get("test", {})
    return [{"score": key, "was": was.get(key), "is": is_.get(key)} for key in {**was, **is_}]


def spread_of(run: object, name: str) -> tuple[dict[str, float], bool]:
    """What may lie between two seeds, {score: largest difference}, of headline scores; and whether it was measured."""
    p = params.load()
    experiment = store.open_client().get_experiment(run.info.experiment_id).name
    baseline = baselines.load(baselines.baseline_name(experiment))
    seeds = baseline.seed_sd if baseline is not None else pd.DataFrame(columns=["model", "target", "slice", "n", "sd"])
    seeds = seeds[seeds["model"] == name]
    wanted = yaml.safe_load(run.data.params["model.targets"])
    whole = pd.DataFrame([{"target": key, "slice": paired.ALL, "n": 1e9} for key in wanted])
    margins = seed_spread.margins(seeds, whole, p.gate.model_copy(update={"spreads": SPREADS}))
    found = {f"{key}_{metrics.HEADLINE[targets.TARGETS[key].kind]}": float(margins[key, paired.ALL]) for key in wanted}
    return found, set(wanted) <= set(seeds["target"])


def judged(old: dict, new: dict, rows: list[dict], allowed: dict[str, float], measured: bool) -> str:
    """The verdict in words."""
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
    return "within seed spread" if measured else "within gate.years and gate.share; seed spread was not measured"


if __name__ == "__main__":
    main()
