"""The page of the gate as Markdown: first what failed, then each model over all faces, then the rest folded away."""

import pandas as pd

from faces import scores, targets
from faces.evaluation import metrics
from faces.gate import decisions, paired
from faces.reporting import markdown

SIGNS = {
    **dict.fromkeys(decisions.FAILURES, "❌"),
    **dict.fromkeys((decisions.IMPROVED, decisions.UNCHANGED), "✅"),
    **dict.fromkeys((decisions.INCONCLUSIVE, decisions.NO_BASELINE), "⚪"),
}
MEANING = (
    "A difference is the score now minus that of the baseline, on the same test faces, with a {:.0%} bootstrap "
    "interval over people. The verdict is *regressed* if the score is worse by significantly more than the tolerance; "
    "the test is adjusted for the comparisons of all faces and, apart from them, for those of groups (Holm). Otherwise "
    "it is *unchanged* if the whole interval is within the tolerance, *improved* if the whole interval is on the "
    "better side of 0, and else *inconclusive*. Errors are in years. Accuracies are shares, and also have McNemar's "
    "exact test."
)


def page(results: dict[str, dict], compared: pd.DataFrame, others: pd.DataFrame, confidence: float) -> str:
    """The page of the gate.

    results: {baseline: as decisions.decide returns it}; compared, others: its rows, with `name`, the baseline's.
    """
    lines = [f"# Gate: {summary(results)}", ""]
    for name, result in results.items():
        for model, row in result["models"].items():
            lines += [f"- {SIGNS[row['verdict']]} **{name}, {model}: {row['verdict']}**"]
            lines += [f"    - {reason}" for reason in row["reasons"]]
    lines += [""]
    regressed, whole = compared["verdict"] == decisions.REGRESSED, compared["slice"] == paired.ALL
    for title, rows in {"Regressed": compared[regressed], "All faces": compared[whole & ~regressed]}.items():
        lines += [f"## {title}", "", table(rows), ""] if len(rows) else []
    rest = compared[~whole & ~regressed]
    if len(rest):
        counts = ", ".join(f"{n} {verdict}" for verdict, n in rest["verdict"].value_counts().items())
        lines += [f"<details><summary>Groups of faces: {counts}</summary>", "", table(rest), "", "</details>", ""]
    if len(others):
        shown = others[["name", "model", "target", "score", "baseline", "candidate"]]
        shown = shown.rename(columns={"candidate": "now"}).assign(
            difference=[markdown.difference(row, scores.digits(row["score"])) for row in others.to_dict("records")]
        )
        title = "<details><summary>Other scores, all faces</summary>"
        lines += [title, "", shown.to_markdown(index=False), "", "</details>", ""]
    if len(compared):
        lines += [MEANING.format(confidence), ""]
    return "\n".join(lines)


def first_part(text: str) -> str:
    """The page's heading and verdicts, without its tables."""
    return text.partition("\n## ")[0]


def by_model(results: dict[str, dict]) -> str:
    """The verdict on each model."""
    models = [(model, row["verdict"]) for result in results.values() for model, row in result["models"].items()]
    return ", ".join(f"{model} {verdict}" for model, verdict in models) or "nothing to compare"


def summary(results: dict[str, dict]) -> str:
    """The verdict on each baseline."""
    return "; ".join(f"{name} {result['verdict']}" for name, result in results.items()) or "nothing to compare"


def failed(results: dict[str, dict], missing_fails: bool) -> set[str]:
    """Kinds of verdicts and reasons by which the gate fails, none where it does not.

    missing_fails: whether it does where a model has no baseline.
    """
    bad = {*decisions.FAILURES, *((decisions.NO_BASELINE,) if missing_fails else ())}
    rows = [row for result in results.values() for row in result["models"].values()]
    return bad & {kind for row in rows for kind in (row["verdict"], *(text.split(":")[0] for text in row["reasons"]))}


def table(rows: pd.DataFrame) -> str:
    """Rows of paired.compare, the most significant losses first; losses of classes as accuracies."""
    cells = []
    for row in rows.sort_values(["p_holm", "p"], kind="stable").to_dict("records"):
        kind = targets.TARGETS[row["target"]].kind
        years, score = kind == "years", scores.find(metrics.HEADLINE[kind])
        digits, sign = score.digits, 1 if years else -1
        old, new = (row[side] if years else 1 - row[side] for side in ("baseline", "candidate"))
        cells.append(
            {
                "": SIGNS[row["verdict"]],
                "model": row["model"],
                "score": f"{row['target']} {score.title}",
                "faces": row["slice"],
                "n": row["n"],
                "baseline": f"{old:.{digits}f}",
                "now": f"{new:.{digits}f}",
                "difference": markdown.difference(row, digits, sign),
                "tolerance": f"{row['tolerance']:.{digits}f}",
                "p, adjusted": probability(row["p_holm"]),
                "McNemar p": "" if years else probability(row["p_mcnemar"]),
                "verdict": row["verdict"],
            }
        )
    return markdown.table(cells)


def probability(p: float) -> str:
    """A p-value in a few characters."""
    return f"{p:.2g}" if p >= 0.001 else f"{p:.0e}"
