"""Interactive plots of small tables, which callers aggregate first. Each function returns an Altair chart."""

import altair as alt
import numpy as np
import pandas as pd

from app.colours import BLUE, GRAY, ORANGE, PALETTE

BAR_WIDTH = 0.9  # share of the bar's step
HEIGHT = 280  # pixels


def ages(probabilities: np.ndarray, predicted: float, low: float | None, high: float | None, true: float | None):  # noqa: ANN201
    """Probabilities (years,) of ages, the predicted age, the ends of its interval, and the true age if known."""
    table = pd.DataFrame({"age": np.arange(len(probabilities)), "probability": probabilities})
    table = table[table["age"] <= max(100, np.nonzero(probabilities > 1e-3)[0].max(initial=0))]
    tooltip = [alt.Tooltip("age", title="age, years"), alt.Tooltip("probability", format=".1%")]
    x = alt.X("age:Q", title="age, years", scale=alt.Scale(nice=False))
    y = alt.Y("probability:Q", title=None, axis=None)
    inside = [] if low is None else [table[table["age"].between(low, high)]]
    layers = [
        alt.Chart(table).mark_area(color=BLUE, opacity=0.25, interpolate="monotone").encode(x=x, y=y, tooltip=tooltip),
        *(
            alt.Chart(part).mark_area(color=BLUE, opacity=0.5, interpolate="monotone").encode(x=x, y=y)
            for part in inside
        ),
        rule(predicted, BLUE, "predicted"),
        *([] if true is None else [rule(true, ORANGE, "true")]),
    ]
    return alt.layer(*layers).properties(height=150)


def rule(age: float, colour: str, label: str) -> alt.Chart:
    """A vertical line at an age in years."""
    table = pd.DataFrame({"age": [age], "label": [label]})
    tooltip = [alt.Tooltip("label", title=" "), alt.Tooltip("age", title="years", format=".1f")]
    return alt.Chart(table).mark_rule(color=colour, strokeWidth=2.5).encode(x=alt.X("age:Q"), tooltip=tooltip)


def shares(classes: dict[str, float]) -> alt.LayerChart:
    """Probabilities of classes {name: 0 to 1} as bars with their values."""
    table = pd.DataFrame({"class": list(classes), "probability": list(classes.values())})
    base = alt.Chart(table).encode(
        y=alt.Y("class:N", title=None, sort=None),
        x=alt.X("probability:Q", title=None, axis=None, scale=alt.Scale(domain=[0, 1.2])),
    )
    tooltip = [alt.Tooltip("class"), alt.Tooltip("probability", format=".1%")]  # bare names cost Altair 0.1 s
    text = base.mark_text(align="left", dx=4, color=GRAY).encode(text=alt.Text("probability:Q", format=".0%"))
    return (base.mark_bar(color=BLUE).encode(tooltip=tooltip) + text).properties(height=26 * len(table) + 10)


def counts(table: pd.DataFrame, x: str, colour: str | None, title: str, order: list | None = None) -> alt.Chart:
    """Stacked bars of the column `faces` by the column x, numbers in equal steps or text; colour: another column."""
    tooltip = [alt.Tooltip(x, title=title), alt.Tooltip("sum(faces):Q", title="faces", format=",")]
    channels = {"x": alt.X(f"{x}:N", title=title, sort=order, axis=alt.Axis(labelAngle=0, labelLimit=160))}
    if pd.api.types.is_numeric_dtype(table[x]):
        step = table[x].drop_duplicates().sort_values().diff().min()
        table = table.assign(end=table[x] + (step if step == step else 1) * BAR_WIDTH)
        ends = alt.Scale(domain=[float(table[x].min()), float(table["end"].max())], nice=False)
        channels = {"x": alt.X(f"{x}:Q", title=title, scale=ends), "x2": "end:Q"}
    if colour:
        scale = alt.Scale(domain=list(dict.fromkeys(table[colour])), range=PALETTE)
        channels["color"] = alt.Color(f"{colour}:N", scale=scale, legend=alt.Legend(orient="top"))
        tooltip.insert(1, alt.Tooltip(colour))
    y = alt.Y("sum(faces):Q", title="faces")
    return alt.Chart(table, height=HEIGHT).mark_bar().encode(**channels, y=y, tooltip=tooltip)


def lines(table: pd.DataFrame, x: str, y: str, colour: str, title: str, unit: str) -> alt.LayerChart:
    """Lines of y over x, one per value of the column `colour`, with gaps where y is unknown."""
    base = alt.Chart(table).encode(
        x=alt.X(f"{x}:Q", title=title),
        y=alt.Y(f"{y}:Q", title=unit, scale=alt.Scale(zero=False)),
        color=alt.Color(
            f"{colour}:N",
            scale=alt.Scale(range=PALETTE),
            title=None,
            legend=alt.Legend(orient="bottom", columns=1, labelLimit=0),
        ),
        tooltip=[
            colour,
            alt.Tooltip(x, title=title),
            alt.Tooltip(y, title=unit, format=".3f"),
            *(["n"] if "n" in table else []),
        ],
    )
    return (base.mark_line() + base.mark_point(size=25, filled=True)).properties(height=HEIGHT)


def band(table: pd.DataFrame, x: str, title: str, unit: str) -> alt.LayerChart:
    """`value` over x as a line, within a band from `low` to `high`."""
    base = alt.Chart(table).encode(
        x=alt.X(f"{x}:Q", title=title, axis=alt.Axis(format="d"), scale=alt.Scale(zero=False))
    )
    area = base.mark_area(color=BLUE, opacity=0.25).encode(y=alt.Y("low:Q", title=unit), y2="high:Q")
    numbers = [alt.Tooltip(name, format=".1f") for name in ("value", "low", "high")]
    line = base.mark_line(color=BLUE, point=True).encode(
        y=alt.Y("value:Q", title=unit), tooltip=[alt.Tooltip(x, title=title), *numbers, "n"]
    )
    return (area + line).properties(height=HEIGHT)


def intervals(table: pd.DataFrame, y: str, unit: str, colour: str | None = None, zero: bool = False) -> alt.LayerChart:
    """`value` of each row, named by the column y, with its interval `low` to `high`, and n if there is one."""
    numbers = [alt.Tooltip(name, format=".3f") for name in ("value", "low", "high")]
    shading = alt.Color(f"{colour}:N", scale=alt.Scale(range=PALETTE), title=None, legend=alt.Legend(orient="top"))
    base = alt.Chart(table).encode(
        y=alt.Y(f"{y}:N", title=None, sort=None, axis=alt.Axis(labelLimit=240)),
        tooltip=[*(name for name in (y, colour, "n") if name in table), *numbers],
        color=shading if colour else alt.value(BLUE),
    )
    line = alt.Chart(pd.DataFrame({"value": [0]})).mark_rule(color=GRAY).encode(x="value:Q")
    layers = [
        *([line] if zero else []),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=unit), x2="high:Q"),
        base.mark_point(filled=True, size=60).encode(x=alt.X("value:Q", title=unit, scale=alt.Scale(zero=zero))),
    ]
    return alt.layer(*layers).properties(height=34 * table[y].nunique() + 80)  # Streamlit includes the axis


def scatter(table: pd.DataFrame, x: str, y: str, colour: str | None, titles: tuple[str, str]) -> alt.LayerChart:
    """Points of y against x, both in years, and the line where they are equal; the tooltip has the face_id."""
    top = float(max(100, table[[x, y]].max().max()))
    line = alt.Chart(pd.DataFrame({x: [0, top], y: [0, top]})).mark_line(color=GRAY, strokeWidth=1)
    shading = alt.Color(f"{colour}:N", scale=alt.Scale(range=PALETTE), legend=alt.Legend(orient="top"))
    points = (
        alt.Chart(table)
        .mark_circle(size=28, opacity=0.5)
        .encode(color=shading if colour else alt.value(BLUE), tooltip=["face_id", x, y, *([colour] if colour else [])])
    )
    channels = {"x": alt.X(f"{x}:Q", title=titles[0]), "y": alt.Y(f"{y}:Q", title=titles[1])}
    return (line.encode(**channels) + points.encode(**channels)).properties(height=380)


def confusion(table: pd.DataFrame, classes: tuple[str, ...]) -> alt.LayerChart:
    """Heat map with counts; table: columns true, predicted, faces and share (of the true class)."""
    base = alt.Chart(table).encode(
        x=alt.X("predicted:N", sort=list(classes), axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("true:N", sort=list(classes)),
        tooltip=["true", "predicted", "faces", alt.Tooltip("share", title="of the true class", format=".1%")],
    )
    shading = alt.Color("share:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None)
    text_colour = alt.condition(alt.datum.share > 0.5, alt.value("white"), alt.value("black"))
    text = base.mark_text().encode(text="faces:Q", color=text_colour)
    return (base.mark_rect().encode(color=shading) + text).properties(height=60 + 46 * len(classes))
