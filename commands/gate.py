"""Print the gate's table and stop on a regression; with --against, hold this tree's results against another commit's.

Exits 1 where a model regressed, a score vanished, the test faces differ or a score is below its floor; in CI (the
variable CI is set) also where a baseline is missing. With --against, the baselines, the spread and the rules (sections
gate and evaluate of params.yaml) are those of that commit, so that a change cannot loosen what it is judged by; what
`make baseline WHY=...` accepted since then passes, and is shown.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pydantic
import yaml

from faces import params
from faces.evaluation import predictions
from faces.gate import baselines, decisions
from faces.gate.baselines import Baseline
from faces.reporting import gate_page

PLACES = ("GITHUB_STEP_SUMMARY", "GATE_TABLE")  # variables that name files which the table is appended to
SOURCES = ("stages", "params.yaml", "dvc.yaml", "requirements.txt")  # a change of these may change real results


def main() -> None:
    """Read what the gate stage wrote, or compare with a commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="COMMIT", help="hold this tree's results against those of a commit")
    commit = parser.parse_args().against
    if commit is None:
        found = json.loads(Path("reports/gate/verdict.json").read_text())
        text = Path("reports/gate/table.md").read_text()
    else:
        found, text = against(commit)
    print(text)
    for place in filter(None, map(os.environ.get, PLACES)):
        with Path(place).open("a") as file:
            file.write(text + "\n")
    if gate_page.failed(found, missing_fails=bool(os.environ.get("CI")) and commit is None):
        sys.exit('The gate is shut: see what failed above. `make baseline WHY="..."` accepts what is meant.')


def against(commit: str) -> tuple[dict, str]:
    """Hold the results of this tree against the baselines of a commit; returns verdicts and their page."""
    p = params.load()
    gate_, evaluate, notes = rules(commit, p)
    found, compared, others = {}, [], []
    made = results(p)
    here = {path.name for path in baselines.FOLDER.iterdir() if path.is_dir()}
    accepted = {name: why for name in here if (why := reason(name)) and why != reason(name, commit)}
    for name in sorted(here | committed(commit)):
        files = {file: show(commit, baselines.FOLDER / name / file) for file in baselines.FILES}
        if files[baselines.ABOUT] is None:
            notes.append(f"- ⚪ **{name}: new**, nothing to compare with")
            continue
        try:
            old = baselines.load(name, files.get)
        except predictions.PredictionsError as error:
            old, judged, rows = Baseline({}, {}), lost(f"that of {commit[:12]} can't be compared with: {error}"), None
        else:
            new = made.get(name) or baselines.load(name)
            if new is None:
                judged, rows = lost("its baseline was deleted"), None
            elif name not in made and unchanged(name, files):
                notes.append(not_measured(commit, name))
                continue
            else:
                judged, *rows = decisions.decide(
                    new.predictions, new.metrics, old, gate_.floors.get(name, {}), gate_, evaluate
                )
        why = accepted.get(name) if name in here else "; ".join(accepted.values())
        if gate_page.failed({name: judged}, False) and why:
            notes.append(f"- ⚠️ **{name}: {judged['verdict']}, accepted**: {why}")
            notes += [f"    - {reason}" for row in judged["models"].values() for reason in row["reasons"]]
            continue
        found[name] = judged
        if rows:
            compared.append(rows[0].assign(name=name))
            others.append(rows[1].assign(name=name))
    empty = pd.DataFrame(columns=["name", "model", "slice", "verdict"])
    tables = [pd.concat(part, ignore_index=True) if part else empty for part in (compared, others)]
    page = gate_page.markdown(found, *tables, evaluate.confidence)
    head, _, rest = page.partition("\n")
    return found, "\n".join([f"{head} (against commit {commit[:12]})", "", *notes, rest])


def reason(name: str, commit: str | None = None) -> str:
    """Why a baseline was accepted though it is worse, here or as of a commit; "" where nothing is said."""
    path = baselines.FOLDER / name / baselines.ABOUT
    text = show(commit, path) if commit else path.read_bytes() if path.exists() else None
    with contextlib.suppress(ValueError, AttributeError):
        return json.loads(text or "{}").get("accepted", "")
    return ""


def rules(commit: str, p: params.Params) -> tuple[params.Gate, params.Evaluate, list[str]]:
    """Sections gate and evaluate of a commit, and notes on what this tree would change; else this tree's."""
    try:
        text = yaml.safe_load(show(commit, params.PATH) or b"") or {}
        gate_, evaluate = params.Gate.model_validate(text["gate"]), params.Evaluate.model_validate(text["evaluate"])
    except (KeyError, yaml.YAMLError, pydantic.ValidationError):
        return p.gate, p.evaluate, [f"- ⚪ {commit[:12]} has no rules that are understood here; judged by this tree's"]
    notes = [
        f"- ⚠️ **rules**: {section} changes, judged by those of {commit[:12]}"
        for section, old, new in (("gate", gate_, p.gate), ("evaluate", evaluate, p.evaluate))
        if old != new
    ]
    return gate_, evaluate, notes


def results(p: params.Params) -> dict[str, Baseline]:
    """What the pipeline made here of each dataset, {name of its baseline: as a baseline}; {} where it did not run."""
    try:
        return {
            name: Baseline(
                {model: predictions.scores(model).get("test", {}) for model in models},
                {model: predictions.read(model) for model in models},
            )
            for name, models in baselines.by_name(p).items()
        }
    except FileNotFoundError:
        return {}


def lost(why: str) -> dict:
    """A verdict on a whole baseline."""
    row = {"verdict": decisions.REMOVED, "reasons": [f"{decisions.REMOVED}: {why}"]}
    return {"verdict": decisions.REMOVED, "models": {"all models": row}}


def committed(commit: str) -> set[str]:
    """Names of the baselines of a commit."""
    command = ["git", "ls-tree", "-d", "--name-only", commit, f"{baselines.FOLDER}/"]
    return {
        Path(line).name for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    }


def show(commit: str, path: Path) -> bytes | None:
    """A file of a commit; None where it has none."""
    done = subprocess.run(["git", "show", f"{commit}:{path}"], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def unchanged(name: str, files: dict[str, bytes | None]) -> bool:
    """Whether a baseline of this tree is, to the byte, what a commit has."""
    places = {file: baselines.FOLDER / name / file for file in files}
    return all((place.read_bytes() if place.exists() else None) == files[file] for file, place in places.items())


def not_measured(commit: str, name: str) -> str:
    """What to say of a baseline that a change left as it was."""
    changed = subprocess.run(["git", "diff", "--quiet", commit, "--", *SOURCES], check=False).returncode
    if changed:
        return f"- ⚠️ **{name}: not measured**: code or params changed, and its results did not"
    return f"- ⚪ **{name}**: as it was"


if __name__ == "__main__":
    main()
