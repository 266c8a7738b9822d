"""Print the gate's table and fail on a regression; with --against, compare this tree's results with another commit's.

Exits 1 where a model regressed, a score vanished, the test faces differ or a score is worse than its limit; in CI (the
variable CI is set) also where a baseline is missing. With --against, the baselines, the spread of seeds and the rules
(sections gate and evaluate of params.yaml) are those of that commit, so that a change cannot relax its own rules; what
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
from faces.params import renamed
from faces.reporting import gate_page

SUMMARIES = ("GITHUB_STEP_SUMMARY", "GATE_TABLE")  # variables that name files to append the table to
SOURCES = ("stages", "faces", "params.yaml", "dvc.yaml", "requirements.txt")  # a change of these may change results


def main() -> None:
    """Read the gate stage's files, or compare with a commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="COMMIT", help="compare this tree's results with those of a commit")
    commit = parser.parse_args().against
    if commit is None:
        decided = json.loads(Path("reports/gate/verdict.json").read_text())
        text = Path("reports/gate/table.md").read_text()
    else:
        decided, text = compare(commit)
    print(text)
    for path in filter(None, map(os.environ.get, SUMMARIES)):
        with Path(path).open("a") as file:
            file.write(text + "\n")
    if gate_page.failed(decided, missing_fails=bool(os.environ.get("CI")) and commit is None):
        sys.exit('The gate failed, as shown above. `make baseline WHY="..."` accepts an intended change.')


def compare(commit: str) -> tuple[dict, str]:
    """Compare the results of this tree with the baselines of a commit; returns decisions and their page."""
    p = params.load()
    gate_, evaluate, notes = rules(commit, p)
    decided, compared, others = {}, [], []
    results = run_results(p)
    present = {path.name for path in baselines.FOLDER.iterdir() if path.is_dir()}
    accepted = {name: why for name in present if (why := reason(name)) and why != reason(name, commit)}
    for name in sorted(present | committed(commit)):
        files = {file: file_at(commit, baselines.FOLDER / name / file) for file in baselines.FILES}
        if files[baselines.ABOUT] is None:
            notes.append(f"- ⚪ **{name}: new**, nothing to compare with")
            continue
        try:
            old = baselines.load(name, files.get)
        except predictions.PredictionsError as error:
            judged, rows = vanished(f"the baseline of {commit[:12]} cannot be used: {error}"), None
        else:
            new = results.get(name) or baselines.load(name)
            if new is None:
                judged, rows = vanished("its baseline was deleted"), None
            elif name not in results and unchanged(name, files):
                notes.append(not_measured(commit, name))
                continue
            else:
                judged, *rows = decisions.decide(
                    new.predictions, new.metrics, old, gate_.limits.get(name, {}), gate_, evaluate
                )
        why = accepted.get(name) if name in present else "; ".join(accepted.values())
        if gate_page.failed({name: judged}, False) and why:
            notes.append(f"- ⚠️ **{name}: {judged['verdict']}, accepted**: {why}")
            notes += [f"    - {line}" for row in judged["models"].values() for line in row["reasons"]]
            continue
        decided[name] = judged
        if rows:
            compared.append(rows[0].assign(name=name))
            others.append(rows[1].assign(name=name))
    empty = pd.DataFrame(columns=["name", "model", "slice", "verdict"])
    tables = [pd.concat(part, ignore_index=True) if part else empty for part in (compared, others)]
    page = gate_page.page(decided, *tables, evaluate.confidence)
    head, _, rest = page.partition("\n")
    return decided, "\n".join([f"{head} (against commit {commit[:12]})", "", *notes, rest])


def reason(name: str, commit: str | None = None) -> str:
    """Why a baseline was accepted though it is worse, in this tree or a commit; '' where no reason is given."""
    path = baselines.FOLDER / name / baselines.ABOUT
    text = file_at(commit, path) if commit else path.read_bytes() if path.exists() else None
    with contextlib.suppress(ValueError, AttributeError):
        return json.loads(text or "{}").get("accepted", "")
    return ""


def rules(commit: str, p: params.Params) -> tuple[params.Gate, params.Evaluate, list[str]]:
    """Sections gate and evaluate of a commit, old names translated, and notes on what this tree changes of them.

    Raises SystemExit if they cannot be read: this tree must not choose the rules that it is judged by.
    """
    try:
        values = renamed.complete(renamed.translate(yaml.safe_load(file_at(commit, params.PATH) or b"")))
        gate_, evaluate = params.Gate.model_validate(values["gate"]), params.Evaluate.model_validate(values["evaluate"])
    except (KeyError, TypeError, yaml.YAMLError, pydantic.ValidationError) as error:
        raise SystemExit(
            f"The gate fails: sections gate and evaluate of {params.PATH} cannot be read in {commit[:12]}, by whose "
            f"rules this tree is judged: {error}"
        ) from None
    notes = [
        f"- ⚠️ **rules**: {section} changes, judged by those of {commit[:12]}"
        for section, old, new in (("gate", gate_, p.gate), ("evaluate", evaluate, p.evaluate))
        if old != new
    ]
    return gate_, evaluate, notes


def run_results(p: params.Params) -> dict[str, Baseline]:
    """Results of this tree's run, {name of the baseline: as a baseline}; {} where it did not run."""
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


def vanished(why: str) -> dict:
    """The verdict on a baseline whose results are missing."""
    row = {"verdict": decisions.REMOVED, "reasons": [f"{decisions.REMOVED}: {why}"]}
    return {"verdict": decisions.REMOVED, "models": {"all models": row}}


def committed(commit: str) -> set[str]:
    """Names of the baselines in a commit."""
    command = ["git", "ls-tree", "-d", "--name-only", commit, f"{baselines.FOLDER}/"]
    return {
        Path(line).name for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    }


def file_at(commit: str, path: Path) -> bytes | None:
    """Content of a file in a commit; None where it has none."""
    done = subprocess.run(["git", "show", f"{commit}:{path}"], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def unchanged(name: str, files: dict[str, bytes | None]) -> bool:
    """Whether a baseline of this tree has the same bytes as in a commit; files: those of the commit."""
    paths = {file: baselines.FOLDER / name / file for file in files}
    return all((path.read_bytes() if path.exists() else None) == files[file] for file, path in paths.items())


def not_measured(commit: str, name: str) -> str:
    """Note on a baseline that is unchanged since a commit."""
    changed = subprocess.run(["git", "diff", "--quiet", commit, "--", *SOURCES], check=False).returncode
    if changed:
        return f"- ⚠️ **{name}: not measured**: code or params changed, and its results did not"
    return f"- ⚪ **{name}**: as it was"


if __name__ == "__main__":
    main()
