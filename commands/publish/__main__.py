"""Publish the finished run of a recipe: its tables and plots, the shipped files, and the README's results.

Type it after `make recipe` and `dvc repro`. It writes reports/published/NAME/ (the results, and what they were made
from), pretrained/ (the model's files and its card) and the table between two marks in README.md; no number is typed by
hand. With --check it writes nothing, and fails where this run differs from the published one, which proves that the
published table can be reproduced.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import pandas as pd

from commands.publish import origin, page, readme, results, shipped
from faces import params
from faces.data import provenance, records
from faces.reporting import published, training_cost
from faces.runtime import pipeline
from faces.tracking import lineage


def main() -> None:
    """Publish a finished run, or compare it with the published one."""
    parser = argparse.ArgumentParser(
        "python -m commands.publish", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", default="utkface", help="a recipe, and the model of that name; utkface")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the published table differs")
    parser.add_argument("--faces", action="store_true", help="run to the split; fail where faces are not as published")
    parser.add_argument("--page", action="store_true", help="show new tables of ablations or peers; needs no run")
    args = parser.parse_args()
    name, p = args.name, params.load()
    if args.page:
        rewrite(name)
        return
    if name not in p.models:
        parser.error(f"params.yaml has no model {name}: `make recipe RECIPE={name}`, then `dvc repro`")
    folder, row = published.FOLDER / name, p.models[name]
    if args.faces:
        sys.exit(check_faces(row, json.loads((folder / published.ABOUT).read_text())) or None)
    pipeline.require_finished(name)
    scores, about = results.collect(name, row, p.evaluate), origin.collect(name, p)
    if args.check:
        if not (folder / published.RESULTS).exists():
            sys.exit(f"nothing is published of {name} yet: `make publish RECIPE={name}` writes {folder}")
        print(results.as_table(scores))
        before = json.loads((folder / published.ABOUT).read_text())
        differences = results.differences(scores, pd.read_csv(folder / published.RESULTS))
        sys.exit(differences + origin.changed_faces(about, before) or None)
    if about["kind"] == "sample":
        sys.exit("these are synthetic faces: `make recipe` with SOURCE, then `dvc repro`, makes a run of real ones")
    readme.replaced(readme.PATH.read_text(), name, "")  # raises before anything is written
    print(results.as_table(scores))
    files = shipped.write(name, row)
    about["earlier"] = origin.earlier_models(folder, about)
    about["cost"] = training_cost.training_cost(name, row)
    about["cost"]["files"] = {path.name: path.stat().st_size for path in files}
    folder.mkdir(parents=True, exist_ok=True)
    records.write(shipped.scores(files, row, results.HEADLINES).round(6), folder / published.FILES)
    records.write(scores, folder / published.RESULTS)
    trials = results.trials(json.loads(Path(f"data/tuned/{name}.json").read_text()))
    if len(trials):  # else those of a model published before stay, and the page says so
        records.write(trials, folder / published.TRIALS)
    copy_reports(name, folder)
    write_pages(name, scores, about, folder)
    print(f"{folder}, {shipped.FOLDER} and the table in {readme.PATH} are written: look at them, and commit them")


def write_pages(name: str, scores: pd.DataFrame, about: dict, folder: Path) -> None:
    """Write what shows the tables of a folder: its page, and the README's part."""
    about["stale"] = origin.outdated_tables(name, about, folder)
    text = readme.replaced(readme.PATH.read_text(), name, readme.section(scores, about))
    (folder / published.ABOUT).write_text(json.dumps(about, indent=1) + "\n")
    (folder / "README.md").write_text(page.render(name, scores, about, folder))
    readme.PATH.write_text(text)


def rewrite(name: str) -> None:
    """Write the page of a published model anew, from the tables of its folder."""
    folder = published.FOLDER / name
    if not (folder / published.ABOUT).exists():
        raise SystemExit(f"{folder} is missing: `make publish RECIPE={name}` writes it from a finished run")
    about = json.loads((folder / published.ABOUT).read_text())
    write_pages(name, pd.read_csv(folder / published.RESULTS), about, folder)
    print(f"{folder}/README.md shows the present tables: look at it, and commit it")


def check_faces(row: params.Model, before: dict) -> str:
    """Run the pipeline up to the split; return how its faces differ from those published, '' where they do not.

    So that no hours of training are lost on other faces. before: the published about.json.
    """
    pipeline.run_to_split(row.dataset)
    source = provenance.read(row.dataset, row.variant)
    split = lineage.digest(f"data/splits/{row.dataset}.csv")
    changed = origin.changed_faces({"archives": source["archives"], "digests": {"split": split}}, before)
    if changed:
        archives = ", ".join(f"{a['name']} of {a['size']:,} bytes, sha256 {a['sha256']}" for a in before["archives"])
        changed += f"\nOnly the published archives reproduce the result: {archives}. Nothing was trained."
    return changed.lstrip()


def copy_reports(name: str, folder: Path) -> None:
    """Copy a model's tables by group, history and plots to a folder, and remove older plots. No plot shows a face."""
    for path in folder.glob("*.png"):
        path.unlink()
    for file, copied in (("subgroups.csv", "groups.csv"), ("gaps.csv", "gaps.csv"), ("history.csv", "history.csv")):
        shutil.copyfile(Path("reports/models", name, file), folder / copied)
    for path in Path("reports/plots", name).glob("*.png"):
        if path.name != "gate.png":  # of the baseline, which is no part of the result
            shutil.copyfile(path, folder / path.name)


if __name__ == "__main__":
    main()
