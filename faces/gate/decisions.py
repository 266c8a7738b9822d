"""Verdicts of the gate: is a candidate worse than its baseline, and for which groups of faces?"""

from collections.abc import Collection

import numpy as np
import pandas as pd

from faces import params, scores, targets
from faces.evaluation import bootstrap, metrics, predictions
from faces.gate import baselines, seed_spread
from faces.gate.baselines import Baseline
from faces.gate.paired import ALL, COLUMNS, IMPROVED, INCONCLUSIVE, REGRESSED, UNCHANGED, compare

NO_BASELINE, OTHER_FACES, REMOVED, BEYOND_LIMIT = "no baseline", "other test faces", "vanished", "beyond its limit"
OTHER_COLUMNS = ["target", "score", "baseline", "candidate", "difference", "low", "high"]
FAILURES = (REMOVED, OTHER_FACES, REGRESSED, BEYOND_LIMIT)  # verdicts that stop a change


def decide(
    candidates: dict[str, pd.DataFrame],
    candidate_scores: dict[str, dict[str, float]],
    baseline: Baseline | None,
    limits: dict[str, dict[str, float]],
    gate: params.Gate,
    evaluate: params.Evaluate,
) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    """Compare the models of one dataset with their baseline.

    candidates, candidate_scores: test predictions and test metrics by model; limits: {model: {score: worst allowed}}.
    Returns {verdict, models: {model: {verdict, reasons}}}, the rows of compare and of other_scores, each with `model`.
    Verdicts use unrounded numbers; rows and reasons are rounded.
    """
    models: dict[str, dict] = {}
    tables = [pd.DataFrame(columns=["model", *COLUMNS, "p_holm", "verdict"])]
    others = [pd.DataFrame(columns=["model", *OTHER_COLUMNS])]
    for model in dict.fromkeys([*(baseline.metrics if baseline else ()), *candidates, *limits]):
        current = candidate_scores.get(model)
        reasons = [(BEYOND_LIMIT, text) for text in beyond_limits(current or {}, limits.get(model, {}))]
        verdict = NO_BASELINE
        if baseline is not None and model in baseline.metrics:
            reasons += [(REMOVED, text) for text in removed_scores(current, baseline.metrics[model])]
            if model in candidates:
                old, seed_sd = baseline.predictions[model], baseline.seed_sd[baseline.seed_sd["model"] == model]
                verdict, regressions, table, other = decide_model(candidates[model], old, seed_sd, gate, evaluate)
                reasons += regressions
                tables.append(table.assign(model=model))
                others.append(other.assign(model=model))
        kinds = [kind for kind, _ in reasons]
        verdict = next((kind for kind in FAILURES if kind in kinds), verdict)
        models[model] = {"verdict": verdict, "reasons": [f"{kind}: {text}" for kind, text in reasons]}
    order = (*FAILURES, NO_BASELINE, INCONCLUSIVE, IMPROVED, UNCHANGED)
    worst = min((row["verdict"] for row in models.values()), key=order.index, default=NO_BASELINE)
    return {"verdict": worst, "models": models}, concat_nonempty(tables), concat_nonempty(others)


def decide_model(
    candidate: pd.DataFrame, baseline: pd.DataFrame, seed_sd: pd.DataFrame, gate: params.Gate, evaluate: params.Evaluate
) -> tuple[str, list[tuple[str, str]], pd.DataFrame, pd.DataFrame]:
    """Verdict on one model, its reasons (kind, text), the rows of compare and those of other_scores.

    candidate, baseline: rows of predictions.csv; seed_sd: rows of spread.csv of this model.
    """
    no_rows = pd.DataFrame(columns=COLUMNS), pd.DataFrame(columns=OTHER_COLUMNS)
    candidate, baseline = predictions.nameless(candidate), predictions.nameless(baseline)
    mismatch = predictions.aligned(candidate, baseline)
    if mismatch:
        return OTHER_FACES, [(OTHER_FACES, mismatch)], *no_rows
    sizes = seed_spread.slice_sizes(baseline, evaluate.min_group_size)
    if not len(sizes):
        text = f"{len(baseline)} test faces are too few to tell, evaluate.min_group_size is {evaluate.min_group_size}"
        return INCONCLUSIVE, [(INCONCLUSIVE, text)], *no_rows
    margins = seed_spread.margins(seed_sd, sizes, gate)
    table = compare(
        candidate,
        baseline,
        margins,
        evaluate.min_group_size,
        evaluate.bootstrap_samples,
        evaluate.confidence,
        evaluate.seed,
    )
    table = scores.table(table, table["target"].map(lambda name: metrics.HEADLINE[targets.TARGETS[name].kind]))
    reasons = [(REGRESSED, as_text(row)) for row in table.to_dict("records") if row["verdict"] == REGRESSED]
    return overall(table), reasons, table, scores.table(other_scores(candidate, baseline, evaluate))


def concat_nonempty(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate the tables that have rows; the first table, which gives the columns, if none has."""
    nonempty = [table for table in tables if len(table)]
    return pd.concat(nonempty, ignore_index=True) if nonempty else tables[0]


def overall(table: pd.DataFrame) -> str:
    """Verdict on a model from the rows of compare."""
    all_faces = table[table["slice"] == ALL]
    if not len(all_faces):
        return INCONCLUSIVE
    if (table["verdict"] == REGRESSED).any():
        return REGRESSED
    if (all_faces["verdict"] == UNCHANGED).all():
        return UNCHANGED
    if all_faces["verdict"].isin((UNCHANGED, IMPROVED)).all():
        return IMPROVED
    return INCONCLUSIVE


def beyond_limits(current: dict[str, float], limits: dict[str, float]) -> list[str]:
    """One line for each score that is worse than its limit, or that has a limit and is missing."""
    lines = []
    for score, limit in limits.items():
        value = current.get(score)
        higher_is_better = metrics.higher_is_better(score.split("_", 1)[-1])
        if value is None or (
            value < limit if higher_is_better else (abs(value) if higher_is_better is None else value) > limit
        ):
            text = "not there" if value is None else scores.number(value, score)
            lines.append(f"{score} is {text}, and {limit} is the worst allowed")
    return lines


def removed_scores(current: dict[str, float] | None, old: dict[str, float]) -> list[str]:
    """One line on what the baseline has and the candidate lacks: the model (current is None), or some scores."""
    if current is None:
        return ["the model is gone"]
    missing = [score for score in old if score not in current]
    return [f"{', '.join(missing)}: not there any more"] if missing else []


def as_text(row: dict) -> str:
    """A row of compare as one line of text."""
    kind = targets.TARGETS[row["target"]].kind
    score = "error" if kind == "years" else "accuracy"
    old, new = (format_loss(row[side], kind) for side in ("baseline", "candidate"))
    return f"{row['target']} {score} of {row['slice']}: {old} -> {new} (n {row['n']}, adjusted p {row['p_holm']:.2g})"


def format_loss(mean_loss: float, kind: str) -> str:
    """A mean loss as text: years, or the accuracy."""
    return f"{mean_loss:.2f} years" if kind == "years" else f"{1 - mean_loss:.3f}"


def other_scores(candidate: pd.DataFrame, baseline: pd.DataFrame, evaluate: params.Evaluate) -> pd.DataFrame:
    """The other headline scores on all test faces, paired: target, score, baseline, candidate, difference, low, high.

    Intervals are percentiles of the bootstrap over people; they carry no verdict.
    """
    rows = []
    for target in predictions.scored_targets(baseline, candidate):
        tables = [predictions.statistics(part, target) for part in (baseline, candidate)]
        sums = bootstrap.paired_sums(*tables, baseline["group"].to_numpy(), evaluate.bootstrap_samples, evaluate.seed)
        intervals = metrics.intervals(target, sums[1], evaluate.confidence, sums[0])
        old, new = (metrics.scores(target, part.sum(axis=0)) for part in tables)
        for score in (row.name for row in scores.listed("metrics", target.kind)):
            if score == metrics.HEADLINE[target.kind] or not np.isfinite([old[score], new[score]]).all():
                continue
            low, high = intervals[score]
            row = {"target": target.name, "score": score, "baseline": float(old[score]), "candidate": float(new[score])}
            rows.append(row | {"difference": float(new[score] - old[score]), "low": low, "high": high})
    return pd.DataFrame(rows, columns=OTHER_COLUMNS)


def removed_baselines(names: Collection[str]) -> dict[str, dict]:
    """Verdicts on baselines of synthetic faces that no model of params.yaml belongs to, if names has any of the sample.

    names: baselines of the models of params.yaml.
    """
    if not any(name.endswith("-sample") for name in names):
        return {}
    removed = sorted(path.name for path in baselines.FOLDER.glob("*-sample") if path.name not in names)
    row = {"verdict": REMOVED, "reasons": ["vanished: params.yaml has no model of this dataset"]}
    return {name: {"verdict": REMOVED, "models": {"all models": row}} for name in removed}
