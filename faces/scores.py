"""How results are rounded that are committed or shown; what decides (verdicts, digests, spreads) is not rounded.

Another machine's last bits change a probability by about 1e-7, with it a mean age by 1e-5 years and the width of an age
interval by 1e-4. The digits below are so few that such a change seldom shows among the thousand numbers of a run, and
so many that no interval of a thousand test faces is blurred. tests/test_noise.py tries it.
"""

import pandas as pd

from faces import targets

YEARS = ("mae", "rmse", "bias", "mae_bin_average", "percentile_gap")  # scores in years
DIGITS = {"group_width": 0, "width": 1, "confidence": 2} | dict.fromkeys(YEARS, 2)  # decimals; the first that fits
HEADLINES = {
    "years": ("mae", "rmse", "bias", "within_5", "bin_accuracy", "mae_bin_average"),
    "classes": ("accuracy", "balanced_accuracy", "mcc", "macro_f1"),
}  # the scores of metrics.json
# What a reader looks at first of each kind of target.
TABLE = {
    "years": {"mae": "MAE", "rmse": "RMSE", "bin_accuracy": "5-bin accuracy"},
    "classes": {"accuracy": "accuracy"},
}
REST = 3  # of accuracies, other shares, skills and losses


def digits(score: str) -> int:
    """Decimals of a score, by its name in a table or metrics.json, or its title: `mae`, `val_age_mae`, `age MAE`."""
    return next((count for name, count in DIGITS.items() if score.lower().endswith(name)), REST)


def number(value: float, score: str) -> float:
    """A value of a score, rounded as it is printed: to the nearest, and never to -0."""
    return round(float(value), digits(score)) + 0.0


def table(rows: pd.DataFrame, scores: pd.Series | None = None) -> pd.DataFrame:
    """Rows with numbers rounded by the score of their row, p-values (`p`, `p_...`) to two significant digits.

    scores: names of the rows' scores; the column `score` unless given; where there is none, each column names its own.
    """
    if scores is None and "score" in rows:
        scores = rows["score"]
    found = rows.infer_objects()
    for name in found.select_dtypes("float"):
        if name == "p" or name.startswith("p_"):
            found[name] = [float(f"{p:.1e}") for p in found[name]]
        else:
            by = [name] * len(found) if scores is None else scores
            found[name] = [number(value, score) for value, score in zip(found[name], by, strict=True)]
    return found


def headlines() -> list[tuple[str, str, str]]:
    """Column title, target and score of every headline, in the order of TARGETS."""
    return [
        (f"{name} {title}", name, score)
        for name, target in targets.TARGETS.items()
        for score, title in TABLE[target.kind].items()
    ]
