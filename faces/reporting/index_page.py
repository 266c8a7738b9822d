"""The index page of the reports, from their tables."""

from pathlib import Path

import pandas as pd

from faces import params, scores
from faces.data import provenance, records
from faces.evaluation import score_tables
from faces.reporting import dataset_card, markdown, score_sections


def page(p: params.Params) -> str:
    """The page: warnings about the images, the gate, the comparison, the data, and each model."""
    out = Path("reports")
    sources = [provenance.read(row.dataset, row.variant) for row in p.variants.values()]
    lines = [
        "# Results",
        "",
        *markdown.quotes(text for source in sources for text in provenance.warnings(source)),
        *gate(out / "gate"),
        *rows_left(p),
        *comparison(out / "comparison", p.evaluate.confidence),
        "## Data",
        "",
        *(line for name in p.datasets for line in dataset(name)),
        *(line for name, row in p.models.items() for line in model(name, row.dataset, out, p.evaluate.min_group_size)),
        *leakage(out / "published/leakage"),
    ]
    return "\n".join(lines).rstrip() + "\n"


def gate(folder: Path) -> list[str]:
    """The gate's verdict on each model, and where its page is."""
    lines = [
        f"- {name}, {model}: **{row['verdict']}**"
        for name, decided in records.read_json(folder / "verdict.json").items()
        for model, row in decided["models"].items()
    ]
    return ["Verdict of the gate, against the committed baseline ([table](gate/table.md)):", "", *lines, ""]


def rows_left(p: params.Params) -> list[str]:
    """What became of the rows of each dataset, from the archive to the test part, and a warning where many are lost."""
    table, warnings = [], []
    for name in p.datasets:
        clean = records.read_json(f"data/clean/{name}/summary.json")
        split = records.read_json(f"data/splits/{name}-balance.json")
        lost = sum(clean["left_out"].values())
        left_out = clean["left_out"] | {"image without a row": clean["images_without_record"]}
        left_out |= {key.replace("_", " "): n for key, n in split.items() if key.startswith("left_out")}
        most = sorted(((n, reason) for reason, n in left_out.items() if n), reverse=True)
        table.append(
            {"dataset": name, "rows": f"{clean['records']:,}", "usable": f"{clean['records'] - lost:,}",
             "without copies": f"{clean['kept']:,}", **{part: f"{n:,}" for part, n in split["faces"].items()},
             "left out": ", ".join(f"{n:,} {reason}" for n, reason in most[:4]) or "none"}
        )  # fmt: skip
        if lost > p.report.max_left_out * clean["records"]:
            warnings.append(f"{name}: {lost:,} of {clean['records']:,} rows cannot be used.")
    return ["What became of the rows, from the archive to the parts:", "", markdown.table(table), "",
            *markdown.quotes(warnings)]  # fmt: skip


def comparison(folder: Path, confidence: float) -> list[str]:
    """Tables of models, and of one against another."""
    models = pd.read_csv(folder / "models.csv", keep_default_na=False)
    return [
        f"Scores on test faces, with {confidence:.0%} bootstrap intervals. {score_sections.AGE_SCORES}",
        "",
        models.to_markdown(index=False),
        "",
        *(line for path in sorted(folder.glob("*_against_*.csv")) for line in against(pd.read_csv(path), path.stem)),
    ]


def against(rows: pd.DataFrame, stem: str) -> list[str]:
    """One model against another. rows: of STEM.csv, where STEM is FIRST_against_SECOND."""
    first, second = stem.split("_against_")
    minus = [markdown.difference(row, scores.digits(row["score"])) for row in rows.to_dict("records")]
    values = [f"{first}_value", f"{second}_value"]
    shown = rows[["dataset", "score", "n", *values]].assign(**{f"{first} minus {second}": minus})
    shown["dataset"] = score_tables.pair_names(rows, first)
    title = stem.replace("_", " ")
    left_out = " Photos without a detected face are left out." if "detected" in (first, second) else ""
    return [
        f"## {title.capitalize()}",
        "",
        f"Both models predict the same test faces, and the intervals are of paired differences.{left_out}",
        "",
        shown.to_markdown(index=False),
        "",
        f"![{title}](plots/{stem}.png)",
        "",
    ]


def dataset(name: str) -> list[str]:
    """A dataset's rows by what became of them, and its parts."""
    clean = records.read_json(f"data/clean/{name}/summary.json")
    split = records.read_json(f"data/splits/{name}-balance.json")
    issues = records.read_json(f"reports/audits/{name}/summary.json")["label_issues"]
    funnel = Path(f"data/records/{name}-funnel.csv")
    counts = {**clean["rejected"], "**kept**": clean["kept"]}
    rows = pd.DataFrame({"outcome": list(counts), "rows": list(counts.values())})
    conflicts = ", ".join(
        f"{target} {count} ({clean['labels_masked'][target]} masked)"
        for target, count in clean["labels_in_conflict"].items()
    )
    return [
        f"### {name}",
        "",
        *([pd.read_csv(funnel).to_markdown(index=False), ""] if funnel.exists() else []),
        rows.to_markdown(index=False),
        "",
        f"Labels on which duplicates disagree: {conflicts}. Faces that their group moved to another part: "
        f"{len(split['moved_with_their_group'])}.",
        "",
        pd.DataFrame([split["faces"]]).to_markdown(index=False),
        "",
        f"Label issues: {dataset_card.label_issues(name, issues) if issues else 'no model has predictions.'} "
        f"The dataset has a [card](cards/datasets/{name}.md).",
        "",
    ]


def model(name: str, dataset: str, out: Path, min_group_size: int) -> list[str]:
    """A model: its worst groups, calibration, plots, scores by group, gaps, leaks and scores on other datasets."""
    tables, audit = out / "models" / name, out / "audits" / dataset
    shown = records.read(tables / "scores.csv").query("part == 'test' and group != ''").drop(columns="part")
    shown = shown.astype({"n": int, "value": object, "low": object, "high": object})
    shown = shown.fillna({"value": f"n too small (below {min_group_size})", "low": "", "high": ""})
    summary = records.read_json(tables / "summary.json")
    by_group = records.read(tables / "subgroups.csv")
    intersections = [by for by in by_group["by"].unique() if " x " in by]
    plots = sorted((out / "plots" / name).glob("*.png"))
    leaks = records.read_json(audit / "summary.json")["models"][name]
    other = pd.read_csv(audit / "cross_dataset.csv").query("model == @name").drop(columns="model")
    return [
        f"## {name}",
        "",
        *score_sections.useless(summary),
        f"Its [card](cards/models/{name}.md) names intended and out-of-scope uses. The worst groups of at least "
        f"{min_group_size} test faces:",
        "",
        *score_sections.worst(summary),
        "",
        "Calibration on test faces:",
        "",
        *score_sections.calibration(summary),
        "",
        *(f"![{path.stem.replace('_', ' ')}](plots/{name}/{path.name})" for path in plots),
        "",
        "Scores by age bin and by class:",
        "",
        shown.to_markdown(index=False),
        "",
        "The largest gaps between groups, with ages as they are and with equal ages:",
        "",
        score_sections.gaps(records.read(tables / "gaps.csv")),
        "",
        "<details><summary>Intersections of two groups</summary>",
        "",
        *(line for by in intersections for line in (score_sections.groups(by_group[by_group["by"] == by], by), "")),
        "</details>",
        "",
        f"Leaks: {score_sections.leaks(leaks)} The nearest pairs are in `data/audits/{dataset}/near_copies.csv`.",
        "",
        *(["Scores on other datasets:", "", other.to_markdown(index=False), ""] if len(other) else []),
    ]


def leakage(folder: Path) -> list[str]:
    """The effect of leakage on scores, where `make leakage` measured it."""
    lines = []
    for path in sorted(folder.glob("*.csv")):
        rows = pd.read_csv(path)
        shown = rows.rename(columns={"faces": "split"})
        table = score_sections.interval_table(shown, ["model", "split", "target", "score"])
        lines += [f"### {path.stem}", "", *other_run(rows), table, ""]
    if not lines:
        return []
    return [
        "## Effect of leakage",
        "",
        "The same models on a split that ignores duplicates, as in many published systems: copies of one photo, each "
        "with its own label, are in several parts. `make leakage` measures this.",
        "",
        *lines,
    ]


def other_run(rows: pd.DataFrame) -> list[str]:
    """A warning where the scores on the honest split of published/leakage/NAME.csv are not those of this run."""
    for model, honest in rows[rows["faces"] == "honest split"].groupby("model"):
        path = Path(f"reports/models/{model}/metrics.json")
        now = records.read_json(path)["test"] if path.exists() else {}
        published = {f"{row['target']}_{row['score']}": row["value"] for row in honest.to_dict("records")}
        if any(now.get(key) != scores.number(value, key) for key, value in published.items()):
            return ["**Measured in another run: on other faces, or with other params.**", ""]
    return []
