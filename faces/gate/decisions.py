"""Verdicts of the gate: is a candidate worse than its baseline, and for which groups of faces?"""

from collections.abc import Collection

import pandas as pd

from faces import params, scores, targets
from faces.data import provenance
from faces.evaluation import metrics, predictions, score_tables
from faces.gate import baselines, tolerance
from faces.gate.baselines import Baseline
from faces.gate.paired import ALL, COLUMNS, IMPROVED, INCONCLUSIVE, REGRESSED, UNCHANGED, compare

NO_BASELINE, OTHER_FACES, REMOVED, BEYOND_LIMIT = "no baseline", "other test faces", "vanished", "beyond its limit"
NOTE = "note"  # kind of a reason that fails nothing
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
    tables = [pd.DataFrame(columns=["model", *COLUMNS])]
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
                if verdict == OTHER_FACES and baseline.split_rules != provenance.SPLIT_RULES:
                    reasons.append((NOTE, f"the baseline is of the earlier split. {provenance.EARLIER}"))
                if stale := baselines.stale_spread(baseline, model):
                    reasons.append((NOTE, stale))
                tables.append(table.assign(model=model))
                others.append(other.assign(model=model))
        kinds = [kind for kind, _ in reasons]
        verdict = next((kind for kind in FAILURES if kind in kinds), verdict)
        models[model] = {"verdict": verdict, "reasons": [f"{kind}: {text}" for kind, text in reasons]}
    order = (*FAILURES, NO_BASELINE, INCONCLUSIVE, IMPROVED, UNCHANGED)
    worst = min((row["verdict"] for row in models.values()), key=order.index, default=NO_BASELINE)
    compared, other_rows = (
        pd.concat([rows for rows in parts if len(rows)] or parts, ignore_index=True) for parts in (tables, others)
    )
    return {"verdict": worst, "models": models}, compared, other_rows


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
    sizes = tolerance.slice_sizes(baseline, evaluate.min_group_size)
    if not len(sizes):
        text = f"{len(baseline)} test faces are too few to tell, evaluate.min_group_size is {evaluate.min_group_size}"
        return INCONCLUSIVE, [(INCONCLUSIVE, text)], *no_rows
    tolerances = tolerance.tolerances(seed_sd, sizes, gate)
    table = compare(candidate, baseline, tolerances, evaluate)
    table = scores.table(table, table["target"].map(lambda name: metrics.HEADLINE[targets.TARGETS[name].kind]))
    reasons = [(REGRESSED, as_text(row)) for row in table.to_dict("records") if row["verdict"] == REGRESSED]
    return overall(table), reasons, table, scores.table(other_scores(candidate, baseline, evaluate))


def overall(table: pd.DataFrame) -> str:
    """Verdict on a model from the rows of compare."""
    if (table["verdict"] == REGRESSED).any():
        return REGRESSED
    all_faces = set(table.loc[table["slice"] == ALL, "verdict"])
    if all_faces and all_faces <= {UNCHANGED, IMPROVED}:
        return IMPROVED if IMPROVED in all_faces else UNCHANGED
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
    losses = row["baseline"], row["candidate"]
    if kind == "years":
        score, values = "error", [f"{loss:.2f} years" for loss in losses]
    else:
        score, values = "accuracy", [f"{1 - loss:.3f}" for loss in losses]
    change = " -> ".join(values)
    return f"{row['target']} {score} of {row['slice']}: {change} (n {row['n']}, adjusted p {row['p_holm']:.2g})"


def other_scores(candidate: pd.DataFrame, baseline: pd.DataFrame, evaluate: params.Evaluate) -> pd.DataFrame:
    """The other headline scores on all test faces, paired: target, score, baseline, candidate, difference, low, high.

    Intervals are percentiles of the bootstrap over people; they carry no verdict.
    """
    rows = score_tables.paired_scores(candidate, baseline, "metrics", evaluate)
    headline = (rows["target"] + "_" + rows["score"]).isin([metrics.headline(name) for name in targets.TARGETS])
    rows = rows[~headline & rows["difference"].notna()]
    return rows.rename(columns={"first": "candidate", "second": "baseline"})[OTHER_COLUMNS]


def removed_baselines(names: Collection[str]) -> dict[str, dict]:
    """Verdicts on baselines of synthetic faces that no model of params.yaml belongs to, if names has any of the sample.

    names: baselines of the models of params.yaml.
    """
    if not any(name.endswith("-sample") for name in names):
        return {}
    removed = sorted(path.name for path in baselines.FOLDER.glob("*-sample") if path.name not in names)
    row = {"verdict": REMOVED, "reasons": ["vanished: params.yaml has no model of this dataset"]}
    return {name: {"verdict": REMOVED, "models": {"all models": row}} for name in removed}
