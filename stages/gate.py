"""Compare every model with its committed baseline, over all faces and by group: data/evaluated/ -> reports/gate/."""

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
    results: dict[str, dict] = {}
    compared, others = [], []
    for name, models in baselines.by_name(p).items():
        now = {model: predictions.read(model) for model in models}
        numbers = {model: predictions.scores(model).get("test", {}) for model in models}
        limits = p.gate.limits.get(name, {})
        try:
            baseline, fault = baselines.load(name), ""
        except predictions.PredictionsError as error:
            baseline, fault = None, str(error)
        results[name], *tables = decisions.decide(now, numbers, baseline, limits, p.gate, p.evaluate)
        for row in results[name]["models"].values() if fault else ():
            row["reasons"].append(f"{decisions.NO_BASELINE}: {fault}")
        compared.append(tables[0].assign(name=name))
        others.append(tables[1].assign(name=name))
    results |= decisions.removed_baselines(results)
    compared, others = (pd.concat(part, ignore_index=True) for part in (compared, others))
    records.write(compared, out / "comparisons.csv")
    records.write(others, out / "scores.csv")
    records.write_json(results, out / "verdict.json")
    (out / "table.md").write_text(gate_page.page(results, compared, others, p.evaluate.confidence))
    progress.say(f"against the baseline: {gate_page.summary(results)}")


if __name__ == "__main__":
    running.stage(main)
