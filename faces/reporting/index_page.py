"""The index page of the reports, from their tables."""

from pathlib import Path

import pandas as pd

from faces import params, scores
from faces.data import provenance, records
from faces.reporting import markdown, score_sections


def page(p: params.Params) -> str:
    """The page: warnings about the pictures, the gate, the comparison, the data, and each model."""
    out = Path("reports")
    sources = [provenance.read(row.dataset, row.variant) for row in p.variants.values()]
    lines = [
        "# Results",
        "",
        *markdown.quotes(text for source in sources for text in provenance.warnings(source)),
        *gate(out / "gate"),
        *comparison(out / "comparison", p.evaluate.confidence),
        "## Data",
        "",
    ]
    for name in p.datasets:
        lines += dataset(name)
    for name, row in p.models.items():
        lines += model(name, row.dataset, out, p.evaluate.min_group_size)
    lines += leakage(out / "published/leakage")
    return "\n".join(lines).rstrip() + "\n"


def comparison(folder: Path, confidence: float) -> list[str]:
    """Tables of models, and of one variant against another."""
    models = pd.read_csv(folder / "models.csv", keep_default_na=False)
    lines = [
        f"On test faces, with {confidence:.0%} bootstrap intervals. MAE is of the median of the age distribution and "
        "RMSE of its mean, both in years.",
        "",
        models.to_markdown(index=False),
        "",
    ]
    for path in sorted(folder.glob("*_against_*.csv")):
        lines += against(pd.read_csv(path), path.stem)
    return lines


def against(rows: pd.DataFrame, stem: str) -> list[str]:
    """One variant against another. rows: of STEM.csv, where STEM is FIRST_against_SECOND."""
    first, second = stem.split("_against_")
    minus = [markdown.difference(row, scores.digits(row["score"])) for row in rows.to_dict("records")]
    values = [f"{first}_value", f"{second}_value"]
    shown = rows[["dataset", "score", "n", *values]].assign(**{f"{first} minus {second}": minus})
    title = stem.replace("_", " ")
    faces = "The same test faces, paired"
    faces += "; photos without a detected face are left out." if "detected" in (first, second) else "."
    lines = [f"## {title.capitalize()}", "", faces, "", shown.to_markdown(index=False), ""]
    return [*lines, f"![{title}](plots/{stem}.png)", ""]


def dataset(name: str) -> list[str]:
    """A dataset's rows by what became of them, and its parts."""
    clean = records.read_json(f"data/clean/{name}/summary.json")
    split = records.read_json(f"data/splits/{name}-balance.json")
    audit = records.read_json(f"reports/audits/{name}/summary.json")
    funnel = Path(f"data/records/{name}-funnel.csv")
    counts = {**clean["rejected"], "**kept**": clean["kept"]}
    rows = pd.DataFrame({"outcome": list(counts), "rows": list(counts.values())})
    issues = ", ".join(f"{k} {v['contradicted']} of {v['faces']}" for k, v in audit["label_issues"].items())
    conflicts = ", ".join(
        f"{k} {v} ({clean['labels_masked'][k]} masked)" for k, v in clean["labels_in_conflict"].items()
    )
    return [
        f"### {name}",
        "",
        *([pd.read_csv(funnel).to_markdown(index=False), ""] if funnel.exists() else []),
        rows.to_markdown(index=False),
        "",
        f"Labels on which duplicates disagree: {conflicts}. Faces whose part another face of their group decided: "
        f"{len(split['moved_with_their_group'])}.",
        "",
        pd.DataFrame([split["faces"]]).to_markdown(index=False),
        "",
        "Labels that all models contradict, of faces that they were not trained on: "
        f"{issues or 'no model has predictions'} "
        f"(listed in `data/audits/{name}/label_issues.csv`). See its [card](cards/datasets/{name}.md).",
        "",
    ]


def gate(folder: Path) -> list[str]:
    """The gate's verdict on each model, and where its page is."""
    lines = [
        f"- {name}, {model}: **{row['verdict']}**"
        for name, decided in records.read_json(folder / "verdict.json").items()
        for model, row in decided["models"].items()
    ]
    return ["Against the committed baseline ([table](gate/table.md)):", "", *lines, ""]


def model(name: str, dataset: str, out: Path, min_group_size: int) -> list[str]:
    """A model: its worst groups, calibration, plots, scores by group, gaps, leaks and scores on other datasets."""
    tables = out / "models" / name
    test = records.read(tables / "scores.csv").query("part == 'test' and group != ''")
    shown = test[["target", "score", "group", "n", "value", "low", "high"]].copy()
    shown["n"] = shown["n"].astype(int)
    shown = shown.astype(object).where(shown.notna(), "")
    shown.loc[test["value"].isna(), "value"] = f"n too small (below {min_group_size})"
    summary = records.read_json(tables / "summary.json")
    by_group = records.read(tables / "subgroups.csv")
    crossings = [by for by in by_group["by"].unique() if " x " in by]
    return [
        f"## {name}",
        "",
        f"See its [card](cards/models/{name}.md) for intended and out-of-scope use. Worst groups of at least "
        f"{min_group_size} test faces:",
        "",
        *score_sections.worst(summary),
        "",
        "Calibration, on test:",
        "",
        *score_sections.calibration(summary),
        "",
        *plot_links(out, f"plots/{name}"),
        "",
        shown.to_markdown(index=False),
        "",
        "The largest gaps between groups, as they are and between faces of equal age:",
        "",
        score_sections.gaps(records.read(tables / "gaps.csv")),
        "",
        "<details><summary>Crossings of groups</summary>",
        "",
        *(line for by in crossings for line in (score_sections.groups(by_group[by_group["by"] == by], by), "")),
        "</details>",
        "",
        *leaks(name, dataset, out),
    ]


def plot_links(out: Path, folder: str) -> list[str]:
    """Every plot of a folder."""
    return [f"![{path.stem.replace('_', ' ')}]({folder}/{path.name})" for path in sorted((out / folder).glob("*.png"))]


def leaks(name: str, dataset: str, out: Path) -> list[str]:
    """Test faces of a model whose photo is in another part too, and its scores on other datasets."""
    leaked = records.read_json(out / "audits" / dataset / "summary.json")["models"][name]
    other = pd.read_csv(out / "audits" / dataset / "cross_dataset.csv").query("model == @name").drop(columns="model")
    lines = [
        f"Of {leaked['test_faces']} test faces, {leaked['leaked']} have their photo in another part, too: candidates "
        "by "
        f"{' and '.join(leaked['looked_for_by'])}, decided by fine detail; the highest correlation of the others is "
        f"{leaked['closest']:.2f} (nearest pairs: `data/audits/{dataset}/near_copies.csv`). "
        + score_sections.without_leaks(leaked),
        "",
    ]
    return lines + (["On other datasets:", "", other.to_markdown(index=False), ""] if len(other) else [])


def leakage(folder: Path) -> list[str]:
    """The effect of leakage on scores, where `make leakage` measured it."""
    lines = []
    for path in sorted(folder.glob("*.csv")):
        rows = pd.read_csv(path)
        cells = [
            {"model": row["model"], "test faces": row["faces"], "score": f"{row['target']} {row['score']}",
             "n": int(row["n"]), "value [interval]": markdown.interval(row, scores.digits(row["score"]))}
            for row in rows.to_dict("records")
        ]  # fmt: skip
        lines += [f"### {path.stem}", "", *other_run(rows), markdown.table(cells), ""]
    if not lines:
        return []
    return ["## Effect of leakage", "", "The same models on a split that ignores duplicates, as in many published "
            "systems: copies of one photo, each with its own label, are in several parts (`make leakage`).",
            "", *lines]  # fmt: skip


def other_run(rows: pd.DataFrame) -> list[str]:
    """A warning where the scores on the honest split of published/leakage/NAME.csv are not those of this run."""
    for model, honest in rows[rows["faces"] == "honest split"].groupby("model"):
        path = Path(f"reports/models/{model}/metrics.json")
        now = records.read_json(path)["test"] if path.exists() else {}
        published = {f"{row['target']}_{row['score']}": row["value"] for row in honest.to_dict("records")}
        if any(now.get(key) != scores.number(value, key) for key, value in published.items()):
            return ["**Measured in another run: on other faces, or with other params.**", ""]
    return []
