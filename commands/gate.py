"""Print the gate's table and fail on a regression; with --against, compare this tree's results with another commit's.

Exit status 1: a model regressed, a score vanished, the test faces differ or a score is worse than its limit; in CI (the
variable CI is set) also: a baseline is missing. With --against, the baselines, the spread of seeds and the rules
(sections gate and evaluate of params.yaml) are those of that commit, so that a change cannot relax its own rules. A
worse result that `make baseline WHY=...` accepted since then passes, and is shown.
"""

import contextlib
import json
import os
import subprocess
from pathlib import Path

import pandas as pd
from ruamel.yaml.error import YAMLError

from commands import command_line
from faces import params
from faces.data import records
from faces.evaluation import predictions
from faces.gate import baselines, decisions
from faces.params import loading, renamed
from faces.reporting import gate_page

SUMMARIES = ("GITHUB_STEP_SUMMARY", "GATE_TABLE")  # variables that name files to append the table to
SOURCES = ("stages", "faces", "params.yaml", "dvc.yaml", "requirements.txt")  # a change of these may change results


def main() -> None:
    """Read the gate stage's files, or compare with a commit."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--against", metavar="COMMIT", help="compare this tree's results with those of a commit")
    commit = parser.parse_args().against
    if commit is None:
        decided, text = records.read_json("reports/gate/verdict.json"), Path("reports/gate/table.md").read_text()
    else:
        decided, text = compare(commit)
    print(text if commit else f"{gate_page.first_part(text)}\nAll comparisons are in reports/gate/table.md.\n")
    for path in filter(None, map(os.environ.get, SUMMARIES)):
        with Path(path).open("a") as file:
            file.write(text + "\n")
    failed = gate_page.failed(decided, missing_fails=bool(os.environ.get("CI")) and commit is None)
    command_line.require(not failed, " ".join(["The gate failed, as shown above.", *advice(failed)]))


def advice(failed: set[str]) -> list[str]:
    """What can be done about verdicts and reasons of these kinds."""
    accepted = {decisions.REGRESSED, decisions.REMOVED, decisions.OTHER_FACES}
    lines = {
        '`make baseline WHY="..."` accepts an intended change.': accepted,
        "A limit is a line of `gate.limits` in params.yaml.": {decisions.BEYOND_LIMIT},
        "`make baseline` makes a missing baseline.": {decisions.NO_BASELINE},
    }
    return [line for line, kinds in lines.items() if kinds & failed]


def compare(commit: str) -> tuple[dict, str]:
    """Compare the results of this tree with the baselines of a commit; returns decisions and their page."""
    p = params.load()
    named = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"], capture_output=True, check=False
    )
    fault = f"{commit!r} is no commit that git has here: fetch it, a shallow clone by `git fetch --unshallow`"
    command_line.require(commit and named.returncode == 0, fault)
    gate_, evaluate, notes = rules(commit, p)
    decided, compared, results = {}, {}, run_results(p)
    present = {path.name for path in baselines.FOLDER.glob("*") if path.is_dir()}
    accepted = {name: why for name in present if (why := reason(name)) and why != reason(name, commit)}
    for name in sorted(present | committed(commit)):
        files = baseline_files(name, commit)
        if files[baselines.ABOUT] is None:
            notes.append(f"- ⚪ **{name}: new**, nothing to compare with")
            continue
        rows = []
        try:
            old = baselines.load(name, files.get)
        except predictions.PredictionsError as error:
            judged = vanished(f"the baseline of {commit[:12]} cannot be used: {error}")
        else:
            new = results.get(name) or baselines.load(name)
            if new is None:
                judged = vanished("its baseline was deleted")
            elif name not in results and files == baseline_files(name):
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
            decided[name] = {"verdict": f"{judged['verdict']}, accepted", "models": {}}
        else:
            decided[name] = judged
            compared[name] = [table.assign(name=name) for table in rows]
    empty = [pd.DataFrame(columns=["name", "model", "slice", "verdict"])] * 2
    kinds = zip(*filter(None, compared.values()), strict=True)
    tables = [pd.concat(tables, ignore_index=True) for tables in kinds] or empty
    head = "\n".join([f" (against commit {commit[:12]})", "", *notes, ""])
    return decided, gate_page.page(decided, *tables, evaluate.confidence).replace("\n", head, 1)


def reason(name: str, commit: str | None = None) -> str:
    """Why a baseline was accepted though it is worse, in this tree or a commit; '' where no reason is given."""
    with contextlib.suppress(ValueError, AttributeError):
        return json.loads(baseline_files(name, commit)[baselines.ABOUT] or "{}").get("accepted", "")
    return ""


def rules(commit: str, p: params.Params) -> tuple[params.Gate, params.Evaluate, list[str]]:
    """Sections gate and evaluate of a commit, old names translated, and notes on what this tree changes of them.

    Raises SystemExit if they cannot be read: this tree must not choose the rules that it is judged by.
    """
    try:
        values = renamed.complete(renamed.translate(loading.parse(file_at(commit, params.PATH) or b"")))
        gate_, evaluate = params.Gate.model_validate(values["gate"]), params.Evaluate.model_validate(values["evaluate"])
    except (KeyError, TypeError, ValueError, YAMLError) as error:
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


def run_results(p: params.Params) -> dict[str, baselines.Baseline]:
    """Results of this tree's run, {name of the baseline: as a baseline}; {} where it did not run."""
    try:
        return {
            name: baselines.Baseline(
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
    return {Path(line).name for line in subprocess.check_output(command, text=True).split()}


def baseline_files(name: str, commit: str | None = None) -> dict[str, bytes | None]:
    """Content of each file of a baseline, in this tree or a commit; None where it is missing."""
    return {file: file_at(commit, baselines.FOLDER / name / file) for file in baselines.FILES}


def file_at(commit: str | None, path: Path) -> bytes | None:
    """Content of a file in a commit, in this tree for None; None where it is missing."""
    if commit is None:
        return path.read_bytes() if path.exists() else None
    done = subprocess.run(["git", "show", f"{commit}:{path}"], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def not_measured(commit: str, name: str) -> str:
    """Note on a baseline that is unchanged since a commit."""
    if subprocess.run(["git", "diff", "--quiet", commit, "--", *SOURCES], check=False).returncode:
        return f"- ⚠️ **{name}: not measured**: code or params changed, and its results did not"
    return f"- ⚪ **{name}**: as it was"


if __name__ == "__main__":
    command_line.run(main)
