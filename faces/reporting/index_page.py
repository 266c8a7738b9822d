"""The index page of the reports, drawn from tables."""

import json
from pathlib import Path

import pandas as pd

from faces import params, scores
from faces.data import provenance, records
from faces.reporting import cards


def page(p: params.Params) -> str:
    """The page: first what a reader must know, then the gate, the comparison, the data, and each model."""
    out = Path("reports")
    provenances = {key: provenance.read(row.dataset, row.variant) for key, row in p.variants.items()}
    lines = [
        "# Results",
        "",
        *warnings(provenances),
        *verdict(out / "gate"),
        *comparison(out / "comparison", p.evaluate.confidence),
        "## Data",
        "",
    ]
    for dataset in p.datasets:
        lines += data(dataset)
    for name, row in p.models.items():
        lines += model(name, row.dataset, out, p.evaluate.min_n)
    lines += leakage(out / "published/leakage")
    return "\n".join(lines).rstrip() + "\n"


def warnings(noted: dict[str, dict]) -> list[str]:
    """Each warning once, as quotes."""
    texts = dict.fromkeys(text for row in noted.values() for text in provenance.warnings(row))
    return [line for text in texts for line in (f"> **{text}**", "")]


def comparison(folder: Path, confidence: float) -> list[str]:
    """Tables of models, and of one variant against another."""
    models = pd.read_csv(folder / "models.csv", keep_default_na=False)
    lines = [
        f"On test faces, with {confidence:.0%} bootstrap intervals. MAE is of the median of the age distribution and "
        "RMSE of its mean, both in years.",
        "",
        table(models),
        "",
    ]
    for path in sorted(folder.glob("*_against_*.csv")):
        lines += against(pd.read_csv(path), path.stem)
    return lines


def against(difference: pd.DataFrame, stem: str) -> list[str]:
    """One variant against another; rows of STEM.csv, of which STEM is FIRST_against_SECOND."""
    first, second = stem.split("_against_")
    minus = [
        "{:+.{n}f} [{:+.{n}f}, {:+.{n}f}]".format(
            row["difference"], row["low"], row["high"], n=scores.digits(row["score"])
        )
        for row in difference.to_dict("records")
    ]
    values = [f"{first}_value", f"{second}_value"]
    shown = difference[["dataset", "score", "n", *values]].assign(**{f"{first} minus {second}": minus})
    title = stem.replace("_", " ")
    faces = "The same test faces, paired"
    faces += "; a photo in which no face was found has no part in it." if "found" in (first, second) else "."
    return [f"## {title.capitalize()}", "", faces, "", table(shown), "", f"![{title}](plots/{stem}.png)", ""]


def data(dataset: str) -> list[str]:
    """What became of a dataset's rows, and its parts."""
    found = json.loads(Path(f"data/clean/{dataset}/summary.json").read_text())
    split = json.loads(Path(f"data/splits/{dataset}-balance.json").read_text())
    rows = pd.DataFrame([{"what became of the rows": k, "rows": v} for k, v in found["rejected"].items()])
    kept = pd.DataFrame([{"what became of the rows": "**kept**", "rows": found["kept"]}])
    parts = pd.DataFrame([split["faces"]])
    funnel = Path(f"data/records/{dataset}-funnel.csv")
    steps = [table(pd.read_csv(funnel)), ""] if funnel.exists() else []
    audit = json.loads(Path(f"reports/audits/{dataset}/summary.json").read_text())
    doubts = ", ".join(f"{k} {v['contradicted']} of {v['faces']}" for k, v in audit["label_issues"].items())
    conflicts = ", ".join(
        f"{k} {v} ({found['labels_masked'][k]} masked)" for k, v in found["labels_in_conflict"].items()
    )
    return [
        f"### {dataset}",
        "",
        *steps,
        table(pd.concat([rows, kept])),
        "",
        f"Copies disagree on: {conflicts}. Faces whose part was decided by another face of their group: "
        f"{len(split['moved_with_their_group'])}.",
        "",
        table(parts),
        "",
        f"Labels that all models contradict, of faces that they did not learn from: {doubts or 'no model tells'} "
        f"(`data/audits/{dataset}/label_issues.csv` lists the most doubted). Its "
        f"[card](cards/datasets/{dataset}.md) says more.",
        "",
    ]


def verdict(folder: Path) -> list[str]:
    """What the gate says, and where it says more."""
    found = json.loads((folder / "verdict.json").read_text())
    lines = [
        f"- {name}, {model}: **{row['verdict']}**"
        for name, judged in found.items()
        for model, row in judged["models"].items()
    ]
    return ["Against the committed baseline ([table](gate/table.md)):", "", *lines, ""]


def model(name: str, dataset: str, out: Path, min_n: int) -> list[str]:
    """A model: for whom it is worst, how far its doubts can be believed, its plots, scores by group, and audits."""
    scores = records.read(out / "models" / name / "scores.csv")
    test = scores[(scores["part"] == "test") & (scores["group"] != "")]
    shown = test[["target", "score", "group", "n", "value", "low", "high"]].copy()
    shown["n"] = shown["n"].astype(int)
    shown = shown.astype(object).where(shown.notna(), "")
    shown.loc[test["value"].isna(), "value"] = f"n too small (below {min_n})"
    found = json.loads((out / "models" / name / "summary.json").read_text())
    by_group = records.read(out / "models" / name / "subgroups.csv")
    crossings = [by for by in by_group["by"].unique() if " x " in by]
    return [
        f"## {name}",
        "",
        f"Its [card](cards/models/{name}.md) says what it is fit for. Worst groups of at least {min_n} test faces:",
        "",
        *cards.worst(found),
        "",
        "Calibration, on test:",
        "",
        *cards.calibration(found),
        "",
        *pictures(out, f"plots/{name}"),
        "",
        table(shown),
        "",
        "The largest gaps between groups, as they are and between faces of equal age:",
        "",
        cards.gaps(records.read(out / "models" / name / "gaps.csv")),
        "",
        "<details><summary>Crossings of groups</summary>",
        "",
        *(line for by in crossings for line in (cards.groups(by_group[by_group["by"] == by], by), "")),
        "</details>",
        "",
        *leaks(name, dataset, out),
    ]


def pictures(out: Path, folder: str) -> list[str]:
    """Every plot of a folder."""
    found = sorted((out / folder).glob("*.png"))
    return [f"![{path.stem.replace('_', ' ')}]({folder}/{path.name})" for path in found]


def leaks(name: str, dataset: str, out: Path) -> list[str]:
    """Whether a model's test faces stand in another part too, and what it says of other datasets."""
    found = json.loads((out / "audits" / dataset / "summary.json").read_text())["models"][name]
    moved = pd.read_csv(out / "audits" / dataset / "cross_dataset.csv").query("model == @name").drop(columns="model")
    lines = [
        f"Of {found['test_faces']} test faces, {found['leaked']} have their photo in another part, looked for by "
        f"{' and '.join(found['looked_for_by'])} and judged by fine detail, by which the most alike of the others "
        f"correlate by {found['closest']:.2f} (`data/audits/{dataset}/near_copies.csv` lists the nearest pairs). "
        + cards.without(found),
        "",
    ]
    return lines + (["On other datasets:", "", table(moved), ""] if len(moved) else [])


def leakage(folder: Path) -> list[str]:
    """What leakage is worth, where `make leakage` measured it."""
    lines = []
    for path in sorted(folder.glob("*.csv")):
        rows = [
            {"model": row["model"], "test faces": row["faces"], "score": f"{row['target']} {row['score']}",
             "n": int(row["n"]), "value [interval]": cards.interval(row, scores.digits(row["score"]))}
            for row in pd.read_csv(path).to_dict("records")
        ]  # fmt: skip
        lines += [f"### {path.stem}", "", *elsewhere(pd.read_csv(path)), cards.markdown(rows), ""]
    if not lines:
        return []
    return ["## What leakage is worth", "", "The same models, trained and tested as the peers do: every picture by "
            "itself, copies with their own labels on both sides (`make leakage`).", "", *lines]  # fmt: skip


def elsewhere(rows: pd.DataFrame) -> list[str]:
    """What a reader must know where a table of leakage is not of the run that this page shows; its honest rows tell.

    rows: of published/leakage/NAME.csv.
    """
    for model, honest in rows[rows["faces"] == "honest split"].groupby("model"):
        path = Path(f"reports/models/{model}/metrics.json")
        now = json.loads(path.read_text())["test"] if path.exists() else {}
        told = {f"{row['target']}_{row['score']}": row["value"] for row in honest.to_dict("records")}
        if any(now.get(key) != scores.number(value, key) for key, value in told.items()):
            return ["**Measured in another run than that of this page: on other faces, or with other params.**", ""]
    return []


def table(rows: pd.DataFrame) -> str:
    """A Markdown table."""
    return rows.to_markdown(index=False)
