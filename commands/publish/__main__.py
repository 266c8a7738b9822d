"""Publish the finished run of a recipe: its tables and plots, the shipped files, and the README's results.

Run it after `make recipe` and `dvc repro`. It writes reports/published/NAME/ (the results, and what they were made
from), pretrained/ (the model's files and its card) and the table between two marks in README.md; no number is typed by
hand. With --check it writes nothing, names the first digest that differs from the published one, and fails where faces
differ, or a score lies outside its published interval.
"""

import shutil
import sys
from pathlib import Path

import pandas as pd

from commands import command_line
from commands.publish import origin, page, results
from faces import params
from faces.data import provenance, records
from faces.reporting import published, training_cost
from faces.runtime import pipeline
from faces.tracking import lineage


def main() -> None:
    """Publish a finished run, or compare it with the published one."""
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "name", nargs="?", default="utkface", help="a recipe, and the model of that name (default: %(default)s)"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the published table differs")
    parser.add_argument("--faces", action="store_true", help="run to the split; fail where faces are not as published")
    parser.add_argument("--page", action="store_true", help="show new tables of ablations or peers; needs no run")
    args = parser.parse_args()
    name, p = args.name, params.load()
    if args.page:
        rewrite(name)
    elif name not in p.models:
        parser.error(f"params.yaml has no model {name}: `make recipe RECIPE={name}`, then `dvc repro`")
    elif args.faces:
        sys.exit(check_faces(name, p.models[name]) or None)
    elif args.check:
        sys.exit(check(name, p) or None)
    else:
        publish(name, p)


def publish(name: str, p: params.Params) -> None:
    """Write all files of a finished run's model."""
    pipeline.require_finished(name)
    folder, row = published.FOLDER / name, p.models[name]
    scores, about = results.collect(name, row, p.evaluate), origin.collect(name, p)
    command_line.require(
        about["kind"] != "sample",
        "these are synthetic faces: `make recipe` with SOURCE, then `dvc repro`, makes a run of real ones",
    )
    page.replaced(page.README.read_text(), name, "")  # raises before anything is written
    print(results.as_table(scores))
    from commands.publish import model_files  # after the checks, since it imports TensorFlow

    files = model_files.write(name, row)
    about["earlier"] = origin.earlier_models(folder, about)
    about["cost"] = training_cost.training_cost(name, row)
    about["cost"]["files"] = {path.name: path.stat().st_size for path in files}
    records.write(model_files.scores(files, row, results.HEADLINES).round(6), folder / published.FILES)
    records.write(scores, folder / published.RESULTS)
    trials = results.trials(records.read_json(f"data/tuned/{name}.json"), p.evaluate.confidence)
    if len(trials):  # else those of a model published before stay, and the page says so
        records.write(trials, folder / published.TRIALS)
    copy_reports(name, folder)
    write_pages(name, scores, about, folder)
    print(f"{folder}, {model_files.FOLDER} and the table in {page.README} are written: check and commit them")


def check(name: str, p: params.Params) -> str:
    """Print the scores of a finished run; return how it differs from the published result, '' where it does not."""
    folder = published.FOLDER / name
    pipeline.require_finished(name)
    scores, about = results.collect(name, p.models[name], p.evaluate), origin.collect(name, p)
    if not (folder / published.RESULTS).exists():
        return f"nothing is published of {name} yet: `make publish RECIPE={name}` writes {folder}"
    print(results.as_table(scores))
    scores_before, before = pd.read_csv(folder / published.RESULTS), records.read_json(folder / published.ABOUT)
    first = lineage.first_difference(*(origin.all_digests(run) for run in (before, about)))
    print(f"{first}: within the intervals or not, this is another model" if first else "every digest is as published")
    return results.differences(scores, scores_before) + origin.changed_faces(about, before)


def write_pages(name: str, scores: pd.DataFrame, about: dict, folder: Path) -> None:
    """Write the page of a folder, and the section of README.md, from the tables of the folder."""
    about["stale"] = origin.outdated_tables(name, about, folder)
    text = page.replaced(page.README.read_text(), name, page.readme_section(scores, about))
    records.write_json(about, folder / published.ABOUT)
    (folder / "README.md").write_text(page.render(name, scores, about, folder))
    page.README.write_text(text)


def rewrite(name: str) -> None:
    """Write the page of a published model anew, from the tables of its folder."""
    folder = published.FOLDER / name
    command_line.require(
        (folder / published.ABOUT).exists(),
        f"{folder} is missing: `make publish RECIPE={name}` writes it from a finished run",
    )
    write_pages(name, pd.read_csv(folder / published.RESULTS), records.read_json(folder / published.ABOUT), folder)
    print(f"{folder}/README.md shows the present tables: check and commit it")


def check_faces(name: str, row: params.Model) -> str:
    """Run the pipeline up to the split; return how its faces differ from those published, '' where they do not.

    This is checked before training, which takes hours.
    """
    before = records.read_json(published.FOLDER / name / published.ABOUT)
    pipeline.run_to_split(row.dataset)
    source = provenance.read(row.dataset, row.variant)
    split = lineage.digest(f"data/splits/{row.dataset}.csv")
    changed = origin.changed_faces(
        {"archives": source["archives"], "digests": {"split": split}, "split_rules": provenance.SPLIT_RULES}, before
    )
    if changed:
        archives = ", ".join(f"{a['name']} of {a['size']:,} bytes, sha256 {a['sha256']}" for a in before["archives"])
        changed += f"\nOnly the published archives reproduce the result: {archives}. Nothing was trained."
    return changed.lstrip()


def copy_reports(name: str, folder: Path) -> None:
    """Copy a model's tables by group, history and plots to a folder, and remove older plots. No plot shows a face."""
    for path in folder.glob("*.png"):
        path.unlink()
    for file, copied in {"subgroups.csv": "groups.csv", "gaps.csv": "gaps.csv", "history.csv": "history.csv"}.items():
        shutil.copyfile(Path("reports/models", name, file), folder / copied)
    for path in Path("reports/plots", name).glob("*.png"):
        if path.name != "gate.png":  # of the baseline, which is no part of the result
            shutil.copyfile(path, folder / path.name)


if __name__ == "__main__":
    command_line.run(main)
