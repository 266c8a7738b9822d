"""Publish the finished run of a recipe: its tables and plots, the shipped files, and the README's results.

Type it where `make recipe` and `dvc repro` have ended. It writes reports/published/NAME/ (what a reader wants to know,
and what it was made from), pretrained/ (the model's files and its card) and the table between two marks in README.md;
no number is typed by hand. With --check it writes nothing, and fails where the run at hand differs from what is
published: the proof that the published table holds.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from commands.experiments import ablations
from commands.experiments import folds as cross_validation
from commands.publish import costs, recipe, shipped
from commands.publish.recipe import FOLDER as RECIPES
from faces import params, scores, targets
from faces.data import provenance, records
from faces.evaluation import predictions, score_tables
from faces.reporting import cards, dataset_card
from faces.tracking import lineage, origin

FOLDER = Path("reports/published")
README = Path("README.md")
ABOUT = "about.json"
MAY_CHANGE = ("params.yaml", "dvc.lock", "reports/", "pretrained/", "README.md")  # between the commit and the run
RESULTS = "results.csv"
TRIALS = "trials.csv"
LEVERS = "levers.csv"
PEERS = "peers.csv"
FILES = "files.csv"
HEADLINES = (
    ("age", "mae", "MAE of the median, years"),
    ("age", "rmse", "RMSE of the mean, years"),
    ("age", "bin_accuracy", "accuracy of 5 age bins"),
    ("sex", "accuracy", "accuracy of sex"),
    ("ethnicity", "accuracy", "accuracy of ethnicity"),
)
TESTED = "test faces"
WORST = "worst group"
PREFIX = re.compile(r"^\+?(models\.[^.]+\.)?((train|budget|options)\.)?")  # of a changed key, that says nothing new
PACKAGES = ("tensorflow", "keras", "numpy", "onnx", "onnxruntime", "dvc", "mlflow")


def main() -> None:
    """Write what a finished run is worth, or hold it against what is published."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="utkface", help="a recipe, and the model of that name; utkface")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the published table differs")
    parser.add_argument("--faces", action="store_true", help="run to the split; fail where faces are not as published")
    parser.add_argument("--page", action="store_true", help="show new tables of levers or peers; nothing need have run")
    words = parser.parse_args()
    name, p = words.name, params.load()
    if words.page:
        rewrite(name)
        return
    if name not in p.models:
        parser.error(f"params.yaml has no model {name}: `make recipe RECIPE={name}`, then `dvc repro`")
    out = FOLDER / name
    if words.faces:
        sys.exit(faces(p.models[name], json.loads((out / ABOUT).read_text())) or None)
    finished(name)
    found, about = results(name, p.models[name], p.evaluate), run_origin(name, p)
    if words.check:
        if not (out / RESULTS).exists():
            sys.exit(f"nothing is published of {name} yet: `make publish RECIPE={name}` writes {out}")
        print(table(found))
        told = json.loads((out / ABOUT).read_text())
        sys.exit(differences(found, pd.read_csv(out / RESULTS)) + other_faces(about, told) or None)
    if about["kind"] == "sample":
        sys.exit("these faces are drawn: `make recipe` with SOURCE, and `dvc repro`, make a run of real ones")
    between(README.read_text(), name, "")  # raises before anything is written
    print(table(found))
    files = shipped.write(name, p.models[name])
    about["earlier"] = earlier(out, about)
    about["cost"] = costs.of(name, p.models[name]) | {"files": {path.name: path.stat().st_size for path in files}}
    out.mkdir(parents=True, exist_ok=True)
    records.write(shipped.scores(files, p.models[name], HEADLINES).round(6), out / FILES)
    records.write(found, out / RESULTS)
    if len(tried := trials(tuned_of(name))):  # else those of a model published before stay, and the page says so
        records.write(tried, out / TRIALS)
    copies(name, out)
    write(name, found, about, out)
    print(f"{out}, {shipped.FOLDER} and the table in {README} are written: look at them, and commit them")


def write(name: str, found: pd.DataFrame, about: dict, out: Path) -> None:
    """Write what the tables of a folder are shown in: its page, and the README's part."""
    about["stale"] = stale(name, about, out)
    text = between(README.read_text(), name, shown_in_readme(found, about))
    (out / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
    (out / "README.md").write_text(page(name, found, about, out))
    README.write_text(text)


def rewrite(name: str) -> None:
    """Write the page of a published model anew, from the tables of its folder."""
    out = FOLDER / name
    if not (out / ABOUT).exists():
        raise SystemExit(f"{out} is not there: `make publish RECIPE={name}` writes it from a finished run")
    write(name, pd.read_csv(out / RESULTS), json.loads((out / ABOUT).read_text()), out)
    print(f"{out}/README.md shows its tables as they are now: look at it, and commit it")


def faces(row: params.Model, published: dict) -> str:
    """What of the faces and their split is not as published, '' where all is; the pipeline is run as far as the split.

    So that hours of training are not for nothing.
    """
    recipe.run_to_split(row.dataset)
    noted = provenance.read(row.dataset, row.variant)
    split = lineage.digest(f"data/splits/{row.dataset}.csv")
    found = other_faces({"archives": noted["archives"], "digests": {"split": split}}, published)
    if found:
        told = ", ".join(f"{a['name']} of {a['size']:,} bytes, sha256 {a['sha256']}" for a in published["archives"])
        found += f"\nThe published result is of {told}: only those pictures make it again. Nothing was trained."
    return found.lstrip()


def finished(recipe_of: str, last: str | None = None) -> None:
    """Raise SystemExit where stages are left to run, params are not a recipe's, or code is not that of the commit.

    last: the stage up to which all must have run; every stage unless given.
    """
    if not recipe.same(yaml.safe_load(params.PATH.read_text()), recipe.expected(recipe_of)):
        raise SystemExit(
            f"{params.PATH} is not what the commit and {RECIPES}/{recipe_of}.yaml give: type `make recipe "
            f"RECIPE={recipe_of}`, then `dvc repro`"
        )
    stages = [] if last is None else ["--with-deps", last]
    if subprocess.run(["dvc", "status", "--quiet", *stages], check=False).returncode:
        raise SystemExit(f"the pipeline has not run to its end: type `{' '.join(['dvc repro', *stages[1:]])}` first")
    changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    strange = [line[3:] for line in changed.splitlines() if not line[3:].startswith(MAY_CHANGE)]
    if strange:
        raise SystemExit(f"{strange[0]} is not as committed: a published result names the commit that makes it again")


def results(name: str, row: params.Model, settings: params.Evaluate) -> pd.DataFrame:
    """Scores on test: target, score, group, n, value, low, high, title, and whether it is a headline."""
    table = records.read(f"reports/models/{name}/scores.csv").fillna({"group": ""})
    test = table[table["part"] == "test"].drop(columns="part")
    confidence = json.loads(Path(f"reports/groups/{name}/summary.json").read_text()).get("interval_confidence")
    rows = []
    for target, score, title in [each for each in HEADLINES if each[0] in row.targets]:
        at = test[(test["target"] == target) & (test["score"] == score) & (test["group"] == "")]
        rows.append(at.assign(title=title, headline=True))
    groups = records.read(f"reports/groups/{name}/groups.csv")
    for score, title in (
        ("coverage", "ages inside the {:.0%} interval"),
        ("width", "width of the {:.0%} interval, years"),
    ):
        at = groups[(groups["target"] == "age") & (groups["score"] == score) & (groups["by"] == "")]
        rows.append(at.assign(title=title.format(confidence), group="", headline=True))
    said = predictions.read(name)
    ages = said.get("age", pd.Series(np.nan, said.index))
    for target, score, group, chosen in (
        ("sex", "accuracy", f"below {score_tables.YOUNG} years", ages < score_tables.YOUNG),
        ("age", "mae", f"above {score_tables.OLD} years", ages > score_tables.OLD),
    ):
        if not {target, "age"} <= set(row.targets):
            continue
        one = score_tables.one_score(said[chosen.to_numpy()], targets.TARGETS[target], score, settings) | {
            "group": group
        }
        rows.append(pd.DataFrame([one]).assign(title=f"{words_of(target, score)}, {group}", headline=True))
    for group in targets.AGE_BINS:
        at = test[(test["score"] == "mae") & (test["group"] == group)]
        rows.append(at.assign(title=f"{words_of('age', 'mae')}, {group} years", headline=False))
    recalls = test[(test["score"] == "recall")]
    for target, group in recalls[["target", "group"]].itertuples(index=False):
        at = recalls[(recalls["target"] == target) & (recalls["group"] == group)]
        last = group == score_tables.LAST
        rows.append(at.assign(title=f"recall of {target}, {group}", headline=last))
    found = json.loads(Path(f"reports/groups/{name}/summary.json").read_text())
    for target, worst in found["worst"].items():
        one = {"target": target, **worst, "headline": True}
        one["title"] = f"{WORST}, {words_of(target, worst['score'])}: {worst['group']}"
        rows.append(pd.DataFrame([one]))
    columns = ["target", "score", "group", "n", "value", "low", "high", "title", "headline"]
    return scores.table(pd.concat(rows, ignore_index=True)[columns])


def words_of(target: str, score: str) -> str:
    """A score as people call it."""
    return "MAE in years" if score == "mae" else f"{score} of {target}"


def table(found: pd.DataFrame) -> str:
    """Rows of results.csv as a Markdown table."""
    shown = [
        {
            "score": row["title"],
            "test faces": f"{row['n']:.0f}",
            "value [interval]": cards.interval(row, scores.digits(row["score"])),
        }
        for row in found.to_dict("records")
    ]
    return cards.markdown(shown)


def differences(found: pd.DataFrame, published: pd.DataFrame) -> str:
    """What of the published results is not met by those found, '' where nothing: equal, or inside its interval."""
    fixed = published[~published["title"].str.startswith(WORST)]  # which group is the worst may change
    both = fixed.merge(found, on="title", how="left", suffixes=("", "_now"))
    lines = []
    for row in both.to_dict("records"):
        if np.isnan(row["value"]):
            continue
        if row["n"] != row["n_now"]:
            lines.append(f"{row['title']}: published of {row['n']:.0f} faces, now of {row['n_now']:.0f}")
        if row["value"] == row["value_now"]:
            continue
        if not row["low"] <= row["value_now"] <= row["high"]:
            lines.append(f"{row['title']}: published {cards.interval(row)}, now {row['value_now']:.3f}")
    return "\n".join(lines)


def other_faces(about: dict, published: dict) -> str:
    """What of the faces, or of how they are split, is not as published; '' where they are the same."""
    then, now = (each["digests"] | {a["name"]: a["sha256"] for a in each["archives"]} for each in (published, about))
    names = ["split", *(a["name"] for a in published["archives"])]
    lines = [f"{name}: not that of the published result" for name in names if then.get(name) != now.get(name)]
    return "\n".join(["", *lines]) if lines else ""


def shown_in_readme(found: pd.DataFrame, about: dict) -> str:
    """The headlines, after what a reader must be warned of, and what the model is and took."""
    again = f"Not the first look at these test faces: models published before this one: {len(about['earlier'])}."
    return "\n\n".join(
        [
            *(f"> {text}" for text in provenance.warnings(about)),
            table(found[found["headline"]]),
            size_and_cost(about),
            *([again] if about["earlier"] else []),
        ]
    )


def size_and_cost(about: dict) -> str:
    """Parameters, files, epochs, and minutes where they are known; and what was trained before it could be."""
    cost, budget = about["cost"], about["trained"]["budget"]
    files = " and ".join(f"`{file}` {size / 1e6:.1f} MB" for file, size in cost["files"].items())
    took = f", in {cost['minutes']:.0f} minutes ({cost['machine']})" if cost["minutes"] else ""
    threads = about["trained"]["train"]["threads"]
    told = (
        f"{about['parameters']:,} parameters, {files}; trained for {cost['epochs']} epochs on {threads} threads, in "
        f"{budget['precision']}{took}."
    )
    more = []
    if cost["teachers"]:
        more += [f"{len(cost['teachers'])} teachers, which it is distilled from ({epochs(cost['teachers'].values())})"]
    if cost["trials"]:
        more += [f"a search of {len(cost['trials'])} short trainings ({epochs(cost['trials'])})"]
    return f"{told} Before it came {' and '.join(more)}." if more else told


def epochs(counts: Iterable[int]) -> str:
    """How long trainings were, as `20 and 20 epochs`, or `4 epochs each`."""
    each = list(counts)
    if len(set(each)) == 1:
        return f"{each[0]} epochs each" if len(each) > 1 else f"{each[0]} epochs"
    return f"{', '.join(map(str, each[:-1]))} and {each[-1]} epochs"


def tuned_of(name: str) -> dict:
    """What `tune` wrote."""
    return json.loads(Path(f"data/tuned/{name}.json").read_text())


def trials(tuned: dict) -> pd.DataFrame:
    """A row for each training of the search: what was changed, and the validation scores of its best epoch."""
    rows = []
    for trial in tuned["trials"]:
        best = max(trial["history"], key=lambda epoch: epoch["val_score"])
        scores = {key.removeprefix("val_"): value for key, value in best.items() if key.startswith("val_")}
        changed = ", ".join(f"{key} {value:.3g}" for key, value in trial["values"].items())
        rows.append(
            {"trial": trial["trial"], "changed": changed or "nothing", "epochs": len(trial["history"]), **scores}
        )
    return pd.DataFrame(rows)


def copies(name: str, out: Path) -> None:
    """Copy tables by group and plots, none of which shows a face, of one model, in the place of those of another."""
    for path in out.glob("*.png"):
        path.unlink()
    for path in (
        f"reports/groups/{name}/groups.csv",
        f"reports/groups/{name}/gaps.csv",
        f"reports/models/{name}/history.csv",
    ):
        shutil.copyfile(path, out / Path(path).name)
    for folder in (f"reports/models/{name}/plots", f"reports/groups/{name}"):
        for path in sorted(Path(folder).glob("*.png")):
            shutil.copyfile(path, out / Path(path).name)


def run_origin(name: str, p: params.Params) -> dict:
    """What a published result came from: commit, recipe, archives, digests, packages; no path and no clock."""
    row = p.models[name]
    noted = provenance.read(row.dataset, row.variant)
    model = json.loads(Path(f"data/models/{name}/model.json").read_text())
    tuned = tuned_of(name)
    installed = origin.packages()
    return {
        "commit": origin.commit_tags()["git_commit"],
        "recipe": f"{RECIPES}/{name}.yaml",
        "kind": noted["kind"],
        "simulated": noted["simulated"],
        "archives": noted["archives"],
        "digests": {key: value for key, value in lineage.digests(name, row).items() if not key.startswith("archive ")}
        | {TESTED: tested(Path(f"data/splits/{row.dataset}.csv"))},
        "parameters": model["parameters"],
        "resampled": cards.resampled(records.read(f"data/evaluated/{name}/predictions.csv")["group"]),
        "faces": records.read(f"data/splits/{row.dataset}.csv")["part"].value_counts().to_dict(),
        "trained": model["recipe"],
        "search": {key: value for key, value in tuned.items() if key != "trials"},
        "params": p.model_dump(mode="json", by_alias=True, exclude={"data"}),
        "packages": {key: installed[key] for key in PACKAGES if key in installed},
    }


def tested(split: Path) -> str:
    """sha256 of the ids of a split's test faces: splits that differ elsewhere may share them."""
    faces = records.read(split)
    return hashlib.sha256("\n".join(sorted(faces["face_id"][faces["part"] == "test"])).encode()).hexdigest()


def earlier(out: Path, about: dict) -> list[dict]:
    """Other models that were published with scores on the same test faces, oldest first: commit and headlines.

    out: the folder as it was last published. None where its test faces were others.
    """
    if not (out / ABOUT).exists():
        return []
    told = json.loads((out / ABOUT).read_text())
    then, now = told["digests"], about["digests"]
    if then[TESTED] != now[TESTED]:
        return []
    before = told.get("earlier", [])
    if then["weights"] == now["weights"]:
        return before
    titles = [title for _, _, title in HEADLINES]
    found = pd.read_csv(out / RESULTS).set_index("title")["value"].reindex(titles).dropna()
    return [*before, {"commit": told["commit"], **found.to_dict()}]


def page(name: str, found: pd.DataFrame, about: dict, out: Path) -> str:
    """The page of a published result."""
    lines = [
        f"# {name}",
        "",
        f"Written by `make publish RECIPE={name}` from a finished run of `{about['recipe']}`; no number is typed by "
        "hand. The recipe was chosen on validation faces alone.",
        "",
    ]
    lines += [line for text in provenance.warnings(about) for line in (f"> {text}", "")]
    lines += [
        table(found),
        "",
        "Copies of one photo are never on both sides of the split. MAE is of the median of the age distribution, RMSE "
        f"of its mean. Intervals are by bootstrap over {about['resampled']}; a group of few faces has no score. All "
        "groups: `groups.csv`; gaps between them: `gaps.csv`.",
        "",
        *looks(about["earlier"]),
        "## Learning",
        "",
        "![loss and validation scores by epoch](learning_curves.png)",
        "",
    ]
    for title, file, what in (
        (
            "Files",
            FILES,
            "What is shipped in `pretrained/`, each file scored on the same test faces: the Keras file as it is, ONNX "
            "files with the calibration that they hold.",
        ),
        (
            "Search",
            TRIALS,
            f"Short trainings with other numbers, by `tune`, judged on {about['faces']['val']:,} validation faces: "
            + chosen(about["params"]["tune"]["least_gain"], about["search"]),
        ),
        (
            "What was tried",
            LEVERS,
            "Each changes one thing of `base`, judged on validation. In brackets what it gains over `base`, less error "
            "being a gain. All scores, those of groups too: `levers.csv`; what all have in common: "
            f"`recipes/{name}.levers.yaml`.",
        ),
        (
            "Other networks",
            PEERS,
            "All trained from random weights by the same stages, for about as long, and tested on the same faces, with "
            "what `params.yaml` says by default of optimiser, changes of pictures and widths of labels; none of it was "
            "searched for any. `residual` is the published model's network, trained so: by itself and shortly. "
            "*minutes* are what it took.",
        ),
    ):
        if (out / file).exists():
            rows = pd.read_csv(out / file)
            what = f"{what} {about['stale'].get(file, '')}".rstrip()
            shown = levers_shown(rows) if file == LEVERS else text_rows(rows.drop(columns="split", errors="ignore"))
            lines += [f"## {title}", "", what, "", cards.markdown(shown), ""]
    lines += [*folds(name), "", "## Ages and groups", ""]
    shown = sorted(path.name for path in out.glob("*.png") if path.name != "learning_curves.png")
    lines += [line for file in shown for line in (f"![{file.removesuffix('.png').replace('_', ' ')}]({file})", "")]
    lines += [
        "## What it came from",
        "",
        f"{size_and_cost(about)} Commit `{about['commit']}`; `about.json` has all of `params.yaml`, and the packages.",
        "",
        "| archive | bytes | sha256 | as published |",
        "| --- | --- | --- | --- |",
        *(
            f"| {a['name']} | {a['size']:,} | `{a['sha256']}` | {dataset_card.published(a)} |"
            for a in about["archives"]
        ),
        "",
    ]
    return "\n".join(lines)


def stale(name: str, about: dict, out: Path) -> dict[str, str]:
    """What a reader must know of tables of a folder that were not measured on what is published now, by their files."""
    found = {}
    if (out / LEVERS).exists():
        listed = yaml.safe_load((RECIPES / f"{name}.levers.yaml").read_text())
        rows = pd.read_csv(out / LEVERS, dtype={"basis": str})
        now = ablations.basis(listed.get("short", {}), rows["precision"].iloc[0], recipe.expected(name))
        if set(rows["basis"]) != {now}:
            found[LEVERS] = "**Measured on an earlier recipe than the one published here, from an earlier list.**"
    if (out / PEERS).exists() and set(pd.read_csv(out / PEERS, dtype=str)["split"]) != {about["digests"][TESTED][:8]}:
        found[PEERS] = "**Tested on other faces than the model published here.**"
    return found


def looks(before: list[dict]) -> list[str]:
    """What a reader must know where the test faces were looked at before."""
    if not before:
        return []
    rows = [{**row, "commit": f"`{row['commit'][:8]}`"} for row in before]
    return [
        "## Earlier looks at the test faces",
        "",
        "These were published before it, with scores on the same test faces, so the scores above are no first look at "
        "them. Each was trained and chosen without them.",
        "",
        cards.markdown(text_rows(pd.DataFrame(rows))),
        "",
    ]


def folds(name: str) -> list[str]:
    """Mean scores over the folds of a published split, where `make folds` ran them."""
    path = FOLDER / "folds.csv"
    rows = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["model", "protocol"])
    rows = rows[(rows["model"] == name) & (rows["protocol"] != cross_validation.OURS)]
    if not len(rows):
        return [
            "## Five folds of the CVPR 2024 benchmark",
            "",
            "Not measured: its file of faces and folds was not at hand (`split.from` in the README says how).",
        ]
    return ["## Folds that others published", "", cards.markdown(text_rows(rows.drop(columns="model")))]


def chosen(least: float, search: dict) -> str:
    """What came of a search, in words."""
    if search["gain"] is None:
        return "of a model published before; this one was not searched for."
    told = f"the best is {search['gain']:.4f} of score above the defaults"
    if search["values"]:
        return f"{told}, and its numbers were taken."
    return f"{told}, less than the {least:g} that is asked for, so these were kept."


def text_rows(rows: pd.DataFrame) -> list[dict]:
    """Rows as text, numbers short, empty where there is none."""
    return [{key: short(value) for key, value in row.items() if value == value} for row in rows.to_dict("records")]


def levers_shown(rows: pd.DataFrame) -> list[dict]:
    """What a reader asks of each lever: what it changes, what it gives, what it takes."""
    shown = []
    for row in rows.to_dict("records"):
        changed = json.loads(row["changed"])
        changes = [f"{PREFIX.sub('', key)} {value}" for key, value in changed.items()]
        found = {"lever": row["lever"], "changed": ", ".join(changes)}
        found |= {"epochs": short(row["epochs"]), "parameters": short(row["parameters"])}
        for key, words in (
            ("score", "score"),
            ("age_mae", "MAE, years"),
            ("sex_accuracy", "accuracy of sex"),
            ("ethnicity_accuracy", "accuracy of ethnicity"),
        ):
            if key in row and row[key] == row[key]:
                gain = f" ({round(row[f'{key}_gain'], 3) + 0.0:+.3f})" if row["lever"] != "base" else ""
                found[words] = f"{row[key]:.3f}{gain}"
        if row["core_minutes"] == row["core_minutes"]:
            found["core minutes"] = short(round(row["core_minutes"], 1))
        shown.append(found)
    return shown


def short(value: object) -> str:
    """Text of a cell: whole numbers whole, others of four digits."""
    if not isinstance(value, float):
        return str(value)
    return f"{value + 0.0:,.0f}" if value.is_integer() else f"{value:.4g}"


def between(text: str, name: str, content: str) -> str:
    """README.md with the table between its marks replaced. Raises SystemExit where the marks are missing."""
    start, end = f"<!-- results of {name}: by make publish -->", f"<!-- end of results of {name} -->"
    if start not in text or end not in text:
        raise SystemExit(f"{README} has no lines {start!r} and {end!r}, between which the table goes")
    head, rest = text.split(start, 1)
    return f"{head}{start}\n{content}\n{rest[rest.index(end) :]}"


if __name__ == "__main__":
    main()
