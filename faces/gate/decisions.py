"""Is a candidate worse than the baseline, and for whom? Verdicts on models, from paired comparisons of predictions."""

import numpy as np
import pandas as pd

from faces import params, scores, targets
from faces.evaluation import bootstrap, metrics, predictions
from faces.gate import baselines, seed_spread
from faces.gate.baselines import Baseline
from faces.gate.paired import ALL, COLUMNS, IMPROVED, INCONCLUSIVE, REGRESSED, UNCHANGED, compare

MISSING, STRANGERS, VANISHED, BELOW = "no baseline", "other test faces", "vanished", "below its floor"
OTHERS = ["target", "score", "baseline", "candidate", "difference", "low", "high"]
FAILURES = (VANISHED, STRANGERS, REGRESSED, BELOW)  # what stops a change


def judge(
    now: dict[str, pd.DataFrame],
    numbers: dict[str, dict[str, float]],
    baseline: Baseline | None,
    floors: dict[str, dict[str, float]],
    gate: params.Gate,
    evaluate: params.Evaluate,
) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    """Hold the models of one dataset against their baseline.

    now, numbers: predictions and test metrics {model: ...} of the candidate; floors: {model: {score: worst allowed}}.
    Returns {verdict, models: {model: {verdict, reasons}}}, the rows of compare and those of others, each with `model`.
    Verdicts are by unrounded numbers; the rows and reasons are rounded.
    """
    found: dict[str, dict] = {}
    tables = [pd.DataFrame(columns=["model", *COLUMNS, "p_holm", "verdict"])]
    others = [pd.DataFrame(columns=["model", *OTHERS])]
    for model in dict.fromkeys([*(baseline.metrics if baseline else ()), *now, *floors]):
        reasons = [(BELOW, text) for text in below(numbers.get(model, {}), floors.get(model, {}))]
        verdict = MISSING
        if baseline is not None and model in baseline.metrics:
            reasons += [(VANISHED, text) for text in vanished(numbers.get(model), baseline.metrics[model])]
            if model in now:
                old, seeds = baseline.predictions[model], baseline.spread[baseline.spread["model"] == model]
                verdict, more, table, rest = compared(now[model], old, seeds, gate, evaluate)
                reasons += more
                tables.append(table.assign(model=model))
                others.append(rest.assign(model=model))
        kinds = [kind for kind, _ in reasons]
        verdict = next((kind for kind in FAILURES if kind in kinds), verdict)
        found[model] = {"verdict": verdict, "reasons": [f"{kind}: {text}" for kind, text in reasons]}
    every = [row["verdict"] for row in found.values()]
    worst = min(every, key=(*FAILURES, MISSING, INCONCLUSIVE, IMPROVED, UNCHANGED).index) if every else MISSING
    return {"verdict": worst, "models": found}, joined(tables), joined(others)


def compared(
    now: pd.DataFrame, old: pd.DataFrame, seeds: pd.DataFrame, gate: params.Gate, evaluate: params.Evaluate
) -> tuple[str, list[tuple[str, str]], pd.DataFrame, pd.DataFrame]:
    """Verdict on one model, its reasons (kind, text), the rows of compare and those of other_scores.

    now, old: rows of predictions.csv; seeds: rows of spread.csv of this model.
    """
    none = pd.DataFrame(columns=COLUMNS), pd.DataFrame(columns=OTHERS)
    now, old = predictions.nameless(now), predictions.nameless(old)
    strange = predictions.aligned(now, old)
    if strange:
        return STRANGERS, [(STRANGERS, strange)], *none
    sizes = seed_spread.sizes(old, evaluate.min_n)
    if not len(sizes):
        text = f"{len(old)} test faces are too few to tell, evaluate.min_n is {evaluate.min_n}"
        return INCONCLUSIVE, [(INCONCLUSIVE, text)], *none
    forgiven = seed_spread.margins(seeds, sizes, gate)
    table = compare(now, old, forgiven, evaluate.min_n, evaluate.resamples, evaluate.confidence, evaluate.seed)
    table = scores.table(table, table["target"].map(lambda name: metrics.HEADLINE[targets.TARGETS[name].kind]))
    reasons = [(REGRESSED, said(row)) for row in table.to_dict("records") if row["verdict"] == REGRESSED]
    return overall(table), reasons, table, scores.table(other_scores(now, old, evaluate))


def joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Tables one below the other, of which the first says the columns; empty ones are left out."""
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True) if full else tables[0]


def overall(table: pd.DataFrame) -> str:
    """Verdict on a model from the rows of compare."""
    whole = table[table["slice"] == ALL]
    if not len(whole):
        return INCONCLUSIVE
    if (table["verdict"] == REGRESSED).any():
        return REGRESSED
    if (whole["verdict"] == UNCHANGED).all():
        return UNCHANGED
    if whole["verdict"].isin((UNCHANGED, IMPROVED)).all():
        return IMPROVED
    return INCONCLUSIVE


def below(numbers: dict[str, float], floors: dict[str, float]) -> list[str]:
    """A line for each score that is worse than it may be, or that has a floor and is not there."""
    found = []
    for score, worst in floors.items():
        value = numbers.get(score)
        up = metrics.higher_is_better(score.split("_", 1)[-1])
        if value is None or (value < worst if up else (abs(value) if up is None else value) > worst):
            shown_as = "not there" if value is None else scores.number(value, score)
            found.append(f"{score} is {shown_as}, and {worst} is the worst allowed")
    return found


def vanished(numbers: dict[str, float] | None, old: dict[str, float]) -> list[str]:
    """A line for what the baseline has and the candidate has not."""
    if numbers is None:
        return ["the model is gone"]
    gone = [score for score in old if score not in numbers]
    return [f"{', '.join(gone)}: not there any more"] if gone else []


def said(row: dict) -> str:
    """A row of compare in words."""
    kind = targets.TARGETS[row["target"]].kind
    what = "error" if kind == "years" else "accuracy"
    old, new = (shown(row[side], kind) for side in ("baseline", "candidate"))
    return f"{row['target']} {what} of {row['slice']}: {old} -> {new} (n {row['n']}, adjusted p {row['p_holm']:.2g})"


def shown(mean_loss: float, kind: str) -> str:
    """A mean loss as people read it: years, or the accuracy."""
    return f"{mean_loss:.2f} years" if kind == "years" else f"{1 - mean_loss:.3f}"


def other_scores(now: pd.DataFrame, old: pd.DataFrame, evaluate: params.Evaluate) -> pd.DataFrame:
    """The other headline scores on all test faces, paired: target, score, baseline, candidate, difference, low, high.

    Intervals are percentiles of the bootstrap over people; they carry no verdict.
    """
    rows = []
    tail = 100 * (1 - evaluate.confidence) / 2
    for name, target in targets.TARGETS.items():
        if f"{name}_predicted" not in now or f"{name}_predicted" not in old:
            continue
        tables = [predictions.statistics(part, target) for part in (old, now)]
        both = bootstrap.gather(np.hstack(tables), old["group"].to_numpy())
        drawn = np.split(bootstrap.sums(both, evaluate.resamples, evaluate.seed), 2, axis=1)
        was, is_ = (metrics.scores(target, part.sum(axis=0)) for part in tables)
        was_drawn, is_drawn = (metrics.scores(target, part) for part in drawn)
        for score in scores.HEADLINES[target.kind]:
            if score == metrics.HEADLINE[target.kind] or not np.isfinite([was[score], is_[score]]).all():
                continue
            low, high = np.nanpercentile(is_drawn[score] - was_drawn[score], [tail, 100 - tail])
            rows.append({"target": name, "score": score, "baseline": float(was[score]), "candidate": float(is_[score]),
                         "difference": float(is_[score] - was[score]), "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(rows, columns=OTHERS)


def gone(found: dict[str, dict]) -> dict[str, dict]:
    """Verdicts on baselines of drawn faces that no model of params.yaml is held against, where others are."""
    if not any(name.endswith("-sample") for name in found):
        return {}
    left = sorted(path.name for path in baselines.FOLDER.glob("*-sample") if path.name not in found)
    lost = {"verdict": VANISHED, "reasons": ["vanished: params.yaml has no model of this dataset"]}
    return {name: {"verdict": VANISHED, "models": {"all models": lost}} for name in left}
