"""Plots of single predictions: predicted against true labels, and scores by decade of age."""

import numpy as np
import pandas as pd
import streamlit as st

from app import charts, resources
from faces import targets

POINTS = 4000  # in a scatter plot
DECADE, BIN = 10, 5  # years
BY_DECADE = {  # title: arguments of score_of
    "RMSE of age, years": ("age", "rmse"),
    "MAE of age, years": ("age", "mae"),
    "accuracy of sex": ("sex", "accuracy"),
    "accuracy of ethnicity": ("ethnicity", "accuracy"),
}


def show(predicted: pd.DataFrame, part: str) -> None:
    """Show plots of rows of predictions.csv, of one part."""
    if "age" not in predicted:
        st.info("These faces have no age labels, which the plots need.")
        return
    known = predicted[predicted["age"].notna()]
    left, right = st.columns(2)
    if "age_predicted" in predicted and len(known):
        with left:
            show_ages(known, part)
    with right:
        show_decades(known)
    shown = [
        target for name, target in targets.TARGETS.items() if f"{name}_predicted" in predicted and name in predicted
    ]
    for column, target in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            show_distribution(predicted, target)


def show_ages(known: pd.DataFrame, part: str) -> None:
    """Scatter plot of predicted against true age, of at most POINTS faces."""
    points = (known if len(known) <= POINTS else known.sample(POINTS, random_state=0)).round(1)
    titles = ("true age, years", "predicted age, years")
    st.subheader("Predicted against true age")
    st.altair_chart(
        charts.scatter(points, "age", "age_predicted", "sex" if "sex" in points else None, titles),
        alt=f"Predicted against true age of {len(points)} {part} faces",
    )


def show_decades(known: pd.DataFrame) -> None:
    """Plot a score, selected by the user, by decade of age."""
    st.subheader("By age")
    titles = [title for title, (target, _) in BY_DECADE.items() if f"{target}_predicted" in known and target in known]
    title = st.selectbox("Score by decade", titles)
    min_faces = resources.evaluate_params().min_group_size
    table = by_decade(known, *BY_DECADE[title], min_faces)
    st.altair_chart(
        charts.lines(table, "age", "value", "who", "true age, years", title), alt=f"{title} by decade of age"
    )
    st.caption(f"Decades with at least {min_faces} faces.")


def show_distribution(predicted: pd.DataFrame, target: targets.Target) -> None:
    """Plot true and predicted labels of one target: histograms of years, or a confusion matrix of classes."""
    if target.kind == "years":
        st.subheader(f"{target.name.capitalize()}, true and predicted")
        table = histograms(predicted, target.name)
        chart = charts.lines(table, "years", "faces", "which", f"{target.name}, years", "faces")
        st.altair_chart(chart, alt=f"Faces by true and by predicted {target.name}")
    else:
        st.subheader(f"{target.name.capitalize()}, confusion matrix")
        chart = charts.confusion(confusion(predicted, target), target.classes)
        st.altair_chart(chart, alt=f"Faces by true and predicted {target.name}")


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
    """Columns age (middle of a decade), who (both sexes, or one), value and n, of at least min_faces labelled faces."""
    labelled, rows = predicted[predicted[target].notna() & (predicted[target] != "")], []
    sexes = {sex: part for sex, part in labelled.groupby("sex") if sex} if "sex" in labelled else {}
    for who, part in ({"both": labelled} | sexes).items():
        for start, decade in part.groupby(part["age"] // DECADE * DECADE):
            if len(decade) >= min_faces:
                value = score_of(decade, target, score)
                rows.append({"age": start + DECADE / 2, "who": who, "value": value, "n": len(decade)})
    return pd.DataFrame(rows, columns=["age", "who", "value", "n"])


def score_of(rows: pd.DataFrame, target: str, score: str) -> float:
    """MAE of the median or RMSE of the mean, in years, or accuracy, of labelled rows of predictions.csv."""
    if score == "mae":
        return float((rows[f"{target}_predicted"] - rows[target]).abs().mean())
    if score == "rmse":
        return float(np.sqrt(((rows[f"{target}_mean"] - rows[target]) ** 2).mean()))
    return float((rows[target] == rows[f"{target}_predicted"]).mean())
