"""Hold every model against the committed baseline, and say for whom it is worse: data/evaluated/ -> reports/gate/."""

import json
from pathlib import Path

import pandas as pd

from stages.lib import baselines, gating, params, plots, predictions, progress, provenance, records, running, verdicts


def main() -> None:
    """Write comparisons.csv, scores.csv, verdict.json, table.md and plots; `make gate` fails by the verdict."""
    p = params.load()
    out = Path("reports/gate")
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict] = {}
    compared, others = [], []
    for name, models in by_baseline(p).items():
        now = {model: predictions.read(model) for model in models}
        numbers = {model: test_metrics(model) for model in models}
        floors = p.gate.floors.get(name, {})
        try:
            baseline, fault = baselines.load(name), ""
        except predictions.PredictionsError as error:
            baseline, fault = None, str(error)
        found[name], *rows = gating.judge(now, numbers, baseline, floors, p.gate, p.evaluate)
        for row in found[name]["models"].values() if fault else ():
            row["reasons"].append(f"{gating.MISSING}: {fault}")
        for kept, part in zip((compared, others), rows, strict=True):
            kept.append(part.assign(name=name))
    found |= gone(found)
    compared, others = (pd.concat(part, ignore_index=True) for part in (compared, others))
    records.write(compared, out / "comparisons.csv")
    records.write(others, out / "scores.csv")
    (out / "verdict.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "table.md").write_text(verdicts.markdown(found, compared, others, p.evaluate.confidence))
    for model, rows in compared.groupby("model", sort=False):
        plots.save(plots.gate(rows, str(model)), out / f"{model}.png")
    progress.say(f"against the baseline: {verdicts.summary(found)}")


def by_baseline(p: params.Params) -> dict[str, list[str]]:
    """Models of params.yaml by the name of their baseline."""
    found: dict[str, list[str]] = {}
    for model, row in p.models.items():
        noted = provenance.read(row.dataset, row.variant)
        found.setdefault(baselines.name_of(provenance.store_name(row.dataset, noted)), []).append(model)
    return found


def test_metrics(model: str) -> dict[str, float]:
    """Scores of a model on test."""
    return predictions.scores(model).get("test", {})


def gone(found: dict[str, dict]) -> dict[str, dict]:
    """Verdicts on baselines of drawn faces that no model of params.yaml is held against, where others are."""
    if not any(name.endswith("-sample") for name in found):
        return {}
    left = sorted(path.name for path in baselines.FOLDER.glob("*-sample") if path.name not in found)
    lost = {"verdict": gating.VANISHED, "reasons": ["vanished: params.yaml has no model of this dataset"]}
    return {name: {"verdict": gating.VANISHED, "models": {"all models": lost}} for name in left}


if __name__ == "__main__":
    running.stage(main)
