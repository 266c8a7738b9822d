"""Tab By age and group: scores of groups with intervals, and plots of single predictions."""

import pandas as pd
import streamlit as st

from app import charts, resources
from app.models import results
from faces import targets
from faces.evaluation.predictions import ALL

PARTS = ["test", "val", "calibration"]
POINTS = 4000  # in a scatter plot
DECADE, BIN = 10, 5  # years
BY_DECADE = {  # title: target, score
    "RMSE of age, years": ("age", "rmse"),
    "MAE of age, years": ("age", "mae"),
    "accuracy of sex": ("sex", "accuracy"),
    "accuracy of ethnicity": ("ethnicity", "accuracy"),
}


def show() -> None:
    """Show the scores of one model by group, then its predictions for one part."""
    known = results.folders()
    name = results.choose(list(known), "groups_of")
    published = name.startswith(results.PUBLISHED)
    path = known[name] / ("groups.csv" if published else "subgroups.csv")
    if path.exists():
        show_groups(resources.read_table(path))
    if published:
        st.caption("Predictions of single faces are not published.")
        return
    part = st.segmented_control("Part", PARTS, default="test", required=True)
    show_predictions(results.read_predictions(name, part), part)


def show_groups(table: pd.DataFrame) -> None:
    """Plot one score of all groups of a kind, both selected by the user; table: rows of groups.csv."""
    left, right = st.columns(2)
    scores = {f"{target} {score}": (target, score) for target, score in table[["target", "score"]].to_numpy()}
    title = left.selectbox("Score", list(scores))
    by = right.selectbox("Groups", [by for by in table["by"].unique() if isinstance(by, str) and by])
    target, score = scores[title]
    rows = table[(table["target"] == target) & (table["score"] == score)]
    rows = rows[(rows["by"] == by) | (rows["group"] == ALL)]
    few = rows["value"].isna()
    st.altair_chart(charts.intervals(rows[~few], "group", title), alt=f"{title} by {by}, test faces, with intervals")
    if few.any():
        sizes = ", ".join(f"{group} ({int(n)})" for group, n in rows.loc[few, ["group", "n"]].to_numpy())
        st.caption(f"Too few test faces for a score: {sizes}.")


def show_predictions(predicted: pd.DataFrame, part: str) -> None:
    """Show plots of rows of predictions.csv, of one part."""
    resources.require("age" in predicted, "These faces have no age labels, which the plots need.")
    known = predicted[predicted["age"].notna()]
    left, right = st.columns(2)
    if "age_predicted" in predicted and len(known):
        points = (known if len(known) <= POINTS else known.sample(POINTS, random_state=0)).round(1)
        titles = ("true age, years", "predicted age, years")
        left.subheader("Predicted against true age")
        left.altair_chart(
            charts.scatter(points, "age", "age_predicted", "sex" if "sex" in points else None, titles),
            alt=f"Predicted against true age of {len(points)} {part} faces",
        )
    with right:
        show_decades(known)
    shown = [
        target for name, target in targets.TARGETS.items() if f"{name}_predicted" in predicted and name in predicted
    ]
    for column, target in zip(st.columns(len(shown)), shown, strict=True):
        show_distribution(column, predicted, target)


def show_decades(known: pd.DataFrame) -> None:
    """Plot a score, selected by the user, by decade of age."""
    st.subheader("By age")
    titles = [title for title, (target, _) in BY_DECADE.items() if f"{target}_predicted" in known and target in known]
    title, min_faces = st.selectbox("Score by decade", titles), resources.evaluate_params().min_group_size
    chart = charts.lines(
        by_decade(known, *BY_DECADE[title], min_faces), "age", "value", "who", "true age, years", title
    )
    st.altair_chart(chart, alt=f"{title} by decade of age")
    st.caption(f"Decades with at least {min_faces} faces.")


def show_distribution(
    column: st.delta_generator.DeltaGenerator, predicted: pd.DataFrame, target: targets.Target
) -> None:
    """Plot true and predicted labels of one target: histograms of years, or a confusion matrix of classes."""
    if target.kind == "years":
        table, title = histograms(predicted, target.name), "true and predicted"
        chart = charts.lines(table, "years", "faces", "which", f"{target.name}, years", "faces")
    else:
        title, chart = "confusion matrix", charts.confusion(confusion(predicted, target), target.classes)
    column.subheader(f"{target.name.capitalize()}, {title}")
    column.altair_chart(chart, alt=f"Faces by true and predicted {target.name}")


def histograms(predicted: pd.DataFrame, name: str) -> pd.DataFrame:
    """Columns years (middle of a bin), faces and which (true or predicted), of labelled rows of predictions.csv."""
    labelled = predicted[predicted[name].notna()]
    columns = {"true": labelled[name], "predicted": labelled[f"{name}_predicted"]}
    return pd.concat(
        (years // BIN * BIN + BIN / 2)
        .value_counts()
        .sort_index()
        .rename_axis("years")
        .reset_index(name="faces")
        .assign(which=which)
        for which, years in columns.items()
    )


def confusion(predicted: pd.DataFrame, target: targets.Target) -> pd.DataFrame:
    """Columns true, predicted, faces and share (of the true class), of labelled rows of predictions.csv."""
    labelled = predicted[predicted[target.name] != ""]
    table = pd.crosstab(labelled[target.name], labelled[f"{target.name}_predicted"])
    table = table.reindex(index=target.classes, columns=target.classes, fill_value=0)
    table = table.rename_axis(index="true", columns="predicted").stack().reset_index(name="faces")
    return table.assign(share=table["faces"] / table.groupby("true")["faces"].transform("sum").clip(lower=1))


def by_decade(predicted: pd.DataFrame, target: str, score: str, min_faces: int) -> pd.DataFrame:
    """Columns who (both sexes, or one), age (middle of a decade), value and n, of at least min_faces labelled faces.

    score: MAE of the median or RMSE of the mean, in years, or accuracy.
    """
    labelled = predicted[predicted[target].notna() & (predicted[target] != "")]
    true, power = labelled[target], 2 if score == "rmse" else 1
    if score == "accuracy":
        value = true == labelled[f"{target}_predicted"]
    else:
        value = (labelled[f"{target}_{'mean' if score == 'rmse' else 'predicted'}"] - true).abs() ** power
    rows = pd.DataFrame({"age": labelled["age"] // DECADE * DECADE + DECADE / 2, "who": "both", "value": value})
    rows = pd.concat([rows, rows.assign(who=labelled.get("sex", ""))])
    table = rows[rows["who"] != ""].groupby(["who", "age"])["value"].agg(value="mean", n="size").reset_index()
    return table[table["n"] >= min_faces].assign(value=table["value"] ** (1 / power))
