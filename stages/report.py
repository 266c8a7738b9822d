"""Write the page that a person reads: everything under data/ and reports/ that counts -> reports/index.md."""

import json
from pathlib import Path

import pandas as pd

from stages.lib import params, provenance, records, running


def main() -> None:
    """Lead with what a reader must know, then the comparison, the data, and each model's plots."""
    p = params.load()
    out = Path("reports")
    noted = {key: provenance.read(row.dataset, row.variant) for key, row in p.variants.items()}
    lines = ["# Results", "", *warnings(noted), *comparison(out / "comparison")]
    lines += ["## Data", ""]
    for dataset in p.datasets:
        lines += data(dataset)
    for name in p.models:
        lines += model(name, out / "models" / name)
    (out / "index.md").write_text("\n".join(lines).rstrip() + "\n")


def warnings(noted: dict[str, dict]) -> list[str]:
    """Each warning once, as quotes."""
    texts = dict.fromkeys(text for row in noted.values() for text in provenance.warnings(row))
    return [line for text in texts for line in (f"> **{text}**", "")]


def comparison(folder: Path) -> list[str]:
    """Tables of models, and of full against cropped."""
    models = pd.read_csv(folder / "models.csv", keep_default_na=False)
    difference = pd.read_csv(folder / "full_against_cropped.csv")
    lines = [
        "On test faces, with 95 % bootstrap intervals. MAE is of the median of the age distribution and RMSE of its",
        "mean, both in years.",
        "",
        table(models),
        "",
    ]
    if len(difference):
        shown = difference.assign(
            **{"full minus cropped": [f"{d:+.3f} [{a:+.3f}, {b:+.3f}]" for d, a, b in interval(difference)]}
        )
        shown = shown[["dataset", "score", "n", "full_value", "cropped_value", "full minus cropped"]].round(3)
        lines += ["## Full against cropped", "", "The same test faces, paired.", "", table(shown), ""]
        lines += ["![full against cropped](comparison/full_against_cropped.png)", ""]
    return lines


def interval(rows: pd.DataFrame) -> zip:
    """Difference, low, high of each row."""
    return zip(rows["difference"], rows["low"], rows["high"], strict=True)


def data(dataset: str) -> list[str]:
    """What became of a dataset's rows, and its parts."""
    found = json.loads(Path(f"data/clean/{dataset}/summary.json").read_text())
    split = json.loads(Path(f"data/splits/{dataset}-balance.json").read_text())
    rows = pd.DataFrame([{"what became of the rows": k, "rows": v} for k, v in found["rejected"].items()])
    kept = pd.DataFrame([{"what became of the rows": "**kept**", "rows": found["kept"]}])
    parts = pd.DataFrame([split["faces"]])
    funnel = Path(f"data/records/{dataset}-funnel.csv")
    steps = [table(pd.read_csv(funnel)), ""] if funnel.exists() else []
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
    ]


def model(name: str, folder: Path) -> list[str]:
    """A model's scores by group on test, and its plots."""
    scores = records.read(folder / "scores.csv")
    test = scores[(scores["part"] == "test") & (scores["group"] != "")]
    shown = test[["target", "score", "group", "n", "value", "low", "high"]].copy()
    shown["n"] = shown["n"].astype(int)
    shown = shown.round(3).astype(object).where(shown.notna(), "")
    shown.loc[test["value"].isna(), "value"] = "n too small"
    images = sorted((folder / "plots").glob("*.png"))
    return [
        f"## {name}",
        "",
        *(f"![{path.stem.replace('_', ' ')}](models/{name}/plots/{path.name})" for path in images),
        "",
        table(shown),
        "",
    ]


def table(rows: pd.DataFrame) -> str:
    """A Markdown table."""
    return rows.to_markdown(index=False)


if __name__ == "__main__":
    running.stage(main)
