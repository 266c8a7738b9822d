"""Tables of scores of a published model: on the test faces, and of the search on the validation faces."""

import numpy as np
import pandas as pd

from faces import params, scores, targets
from faces.data import records
from faces.evaluation import gains, predictions, score_tables
from faces.reporting import markdown

HEADLINES = (
    ("age", "mae", "MAE of the median, years"),
    ("age", "rmse", "RMSE of the mean, years"),
    ("age", "bin_accuracy", "accuracy of 5 age bins"),
    ("sex", "accuracy", "accuracy of sex"),
    ("ethnicity", "accuracy", "accuracy of ethnicity"),
)
WORST = "worst group"
COLUMNS = ["target", "score", "group", "n", "value", "low", "high", "title", "headline"]


def collect(name: str, row: params.Model, settings: params.Evaluate) -> pd.DataFrame:
    """Scores of a model on test, from the pipeline's reports: COLUMNS, of which headline is a bool."""
    table = records.read(f"reports/models/{name}/scores.csv").fillna({"group": ""})
    test = table[table["part"] == "test"].drop(columns="part")
    groups = records.read(f"reports/models/{name}/subgroups.csv")
    summary = records.read_json(f"reports/models/{name}/summary.json")
    interval = f"{summary.get('interval_confidence'):.0%} interval"
    whole, of_age = groups[(groups["by"] == "") & (groups["target"] == "age")], test[test["score"] == "mae"]
    rows = []
    for target, score, title in HEADLINES:
        if target in row.targets:
            at = (test["target"] == target) & (test["score"] == score) & (test["group"] == "")
            rows.append(test[at].assign(title=title, headline=True))
    for score, title in {"coverage": f"ages inside the {interval}", "width": f"width of the {interval}, years"}.items():
        rows.append(whole[whole["score"] == score].assign(title=title, group="", headline=True))
    rows += weak_groups(predictions.read(name), row, settings)
    for group in targets.AGE_BINS:
        title = f"{score_title('age', 'mae')}, {group} years"
        rows.append(of_age[of_age["group"] == group].assign(title=title, headline=False))
    recalls = test[test["score"] == "recall"]
    titles, last = "recall of " + recalls["target"] + ", " + recalls["group"], recalls["group"] == score_tables.LAST
    rows.append(recalls.assign(title=titles, headline=last))
    for target, worst in summary["worst"].items():
        title = f"{WORST}, {score_title(target, worst['score'])}: {worst['group']}"
        rows.append(pd.DataFrame([{"target": target, **worst, "headline": True, "title": title}]))
    return scores.table(pd.concat(rows, ignore_index=True)[COLUMNS])


def weak_groups(table: pd.DataFrame, row: params.Model, settings: params.Evaluate) -> list[pd.DataFrame]:
    """Scores of the ages at which models of faces are weakest; table: rows of predictions.csv."""
    ages = table.get("age", pd.Series(np.nan, table.index))
    rows = []
    for target, score, group, inside in (
        ("sex", "accuracy", f"below {score_tables.YOUNG} years", ages < score_tables.YOUNG),
        ("age", "mae", f"above {score_tables.OLD} years", ages > score_tables.OLD),
    ):
        if {target, "age"} <= set(row.targets):
            scored = score_tables.one_score(table[inside.to_numpy()], targets.TARGETS[target], score, settings)
            scored |= {"group": group, "title": f"{score_title(target, score)}, {group}", "headline": True}
            rows.append(pd.DataFrame([scored]))
    return rows


def score_title(target: str, score: str) -> str:
    """Title of a score."""
    return "MAE in years" if score == "mae" else f"{score} of {target}"


def as_table(rows: pd.DataFrame) -> str:
    """Rows of results.csv as a Markdown table."""
    return markdown.table(
        [
            {
                "score": row["title"],
                "test faces": f"{row['n']:.0f}",
                "value [interval]": markdown.interval(row, scores.digits(row["score"])),
            }
            for row in rows.to_dict("records")
        ]
    )


def differences(rows: pd.DataFrame, before: pd.DataFrame) -> str:
    """A line for each published score that rows do not reproduce: of other n, or outside its interval; '' if none.

    before: the published results.csv.
    """
    fixed = before[before["value"].notna() & ~before["title"].str.startswith(WORST)]  # another may be the worst now
    lines = []
    for row in fixed.merge(rows, on="title", how="left", suffixes=("", "_now")).to_dict("records"):
        if row["n"] != row["n_now"]:
            lines.append(f"{row['title']}: published of {row['n']:.0f} faces, now of {row['n_now']:.0f}")
        if row["value"] != row["value_now"] and not row["low"] <= row["value_now"] <= row["high"]:
            lines.append(f"{row['title']}: published {markdown.interval(row)}, now {row['value_now']:.3f}")
    return "\n".join(lines)


def trials(tuned: dict, confidence: float) -> pd.DataFrame:
    """A row for each trial of a search: what was changed, the validation scores of its best epoch, and its gain.

    tuned: data/tuned/NAME.json; confidence: of the intervals of gains.
    """
    rows = []
    for trial, gain in zip(tuned["trials"], gains.of_trials(tuned["trials"], confidence), strict=True):
        best = max(trial["history"], key=lambda epoch: epoch["val_score"])
        val = {key.removeprefix("val_"): value for key, value in best.items() if key.startswith("val_")}
        changed = ", ".join(f"{key} {value:.3g}" for key, value in trial["values"].items()) or "nothing"
        rows.append({"trial": trial["trial"], "changed": changed, "epochs": len(trial["history"]), **val, **gain})
    return pd.DataFrame(rows)
