"""Hold every model against the committed baseline, and say for whom it is worse: data/evaluated/ -> reports/gate/."""

import json
from pathlib import Path

import pandas as pd

from faces import params
from faces.data import records
from faces.evaluation import predictions
from faces.gate import baselines, decisions
from faces.reporting import gate_page
from faces.runtime import progress, running


def main() -> None:
    """Write comparisons.csv, scores.csv, verdict.json and table.md; `make gate` fails by the verdict."""
    p = params.load()
    out = Path("reports/gate")
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict] = {}
    compared, others = [], []
    for name, models in baselines.by_name(p).items():
        now = {model: predictions.read(model) for model in models}
        numbers = {model: predictions.scores(model).get("test", {}) for model in models}
        floors = p.gate.floors.get(name, {})
        try:
            baseline, fault = baselines.load(name), ""
        except predictions.PredictionsError as error:
            baseline, fault = None, str(error)
        found[name], *rows = decisions.decide(now, numbers, baseline, floors, p.gate, p.evaluate)
        for row in found[name]["models"].values() if fault else ():
            row["reasons"].append(f"{decisions.NO_BASELINE}: {fault}")
        for kept, part in zip((compared, others), rows, strict=True):
            kept.append(part.assign(name=name))
    found |= decisions.removed_baselines(found)
    compared, others = (pd.concat(part, ignore_index=True) for part in (compared, others))
    records.write(compared, out / "comparisons.csv")
    records.write(others, out / "scores.csv")
    (out / "verdict.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "table.md").write_text(gate_page.page(found, compared, others, p.evaluate.confidence))
    progress.say(f"against the baseline: {gate_page.summary(found)}")


if __name__ == "__main__":
    running.stage(main)
