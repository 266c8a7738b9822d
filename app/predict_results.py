"""What the page Predict shows of a photo: its faces, and what one model, or two, say of each."""

import json

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import photo, resources
from app.photo import Photo
from app.upload import Upload
from faces import targets
from faces.inference import photos
from faces.inference.photos import Prepared
from faces.inference.predictor import ModelError, Predictor

MOST = 12  # faces that are shown at once
CAUTION = (
    "Estimates of what people would perceive, from one picture: often years off, and wrong for some groups more than "
    "for others (see Models). Not fit for decisions about anybody. The photo stays in memory, and is gone with this "
    "page."
)


def show(upload: Upload | None, left: DeltaGenerator, right: DeltaGenerator) -> None:
    """Ask for a model, and tell what it says of what was given; left, right: the columns at the top of the page."""
    with left:
        given = photo.of(upload)
    with right:
        chosen = choose()
        with st.expander("Settings"):
            cropped, least = photo.settings()
            ethnicity = st.toggle("Tell ethnicity, too", key="ethnicity", help="Five classes, as UTKFace has them.")
    st.caption(CAUTION)
    if given is None:
        resources.ready()
        return
    read = {label: look(given, name, cropped, least) for label, name in chosen.items()}
    told(given, {label: pair for label, pair in read.items() if pair}, ethnicity)


def choose() -> dict[str, str]:
    """One model, and a second one if it is asked for: {label: name}."""
    known, wrong = resources.models()
    if wrong:
        st.warning(wrong)
    first = st.selectbox("Model", list(known), key="model", help="The champion of faces-utkface, or the shipped one.")
    others = [label for label in known if label != first]
    second = st.selectbox("Compare with", others, index=None, placeholder="no other", key="second")
    return {label: known[label] for label in (first, second) if label}


def look(given: Photo, name: str, cropped: bool, least: float) -> tuple[Predictor, Prepared] | None:
    """A model, and the faces of a photo as it sees them; None, with the reason shown, where it cannot be opened."""
    try:
        predictor = resources.predictor(name)
    except ModelError as error:
        st.error(str(error))
        return None
    with st.spinner("Looking for faces ..."):
        return predictor, Prepared(given.name, *given.faces(predictor, cropped, least))


def told(given: Photo, read: dict[str, tuple[Predictor, Prepared]], ethnicity: bool) -> None:
    """The photo with its faces framed, then what each model says of each face; and of the whole, where it sees that."""
    for label, (predictor, _) in read.items():
        resources.warn(predictor, label)
    rows = {label: list(photos.told([prepared], predictor)) for label, (predictor, prepared) in read.items()}
    whole = [label for label, (predictor, _) in read.items() if photos.framing(predictor) is None]
    framed = [label for label in read if label not in whole]
    places = read[framed[0]][1].places if framed else []
    left, right = st.columns([2, 3])
    with left:
        st.image(
            photo.boxed(given.image, [place for place in places if place]),
            alt=f"The photo, with {len(places)} faces framed and numbered",
            width="stretch",
        )
        if framed and not places:
            st.warning(photo.NONE)
        if any(rows.values()):
            download(given.name, rows)
    with right:
        if len(places) > MOST:
            st.info(f"{len(places)} faces were found; the {MOST} largest are shown, all of them are in the files.")
        for number, place in enumerate(places[:MOST]):
            with st.container(border=True):
                face(
                    f"Face {number + 1}",
                    f"{given.key} {place}",
                    number,
                    {label: read[label] for label in framed},
                    rows,
                    ethnicity,
                )
        for label in whole:
            with st.container(border=True):
                face("The whole photo", f"{given.key} whole {label}", 0, {label: read[label]}, rows, ethnicity)


def face(what: str, key: str, number: int, read: dict, rows: dict[str, list[dict]], ethnicity: bool) -> None:
    """One face: what is known of it, and a column of what each model says; key: of the face among all."""
    known = truth(what, key)
    for column, (label, (predictor, prepared)) in zip(st.columns(len(read)), read.items(), strict=True):
        with column:
            row = rows[label][number]
            st.caption(f"{label} ({predictor.about['variant']})")
            with st.container(horizontal=True):
                st.image(prepared.seen[number], width=110, alt=f"{what} as the model sees it")
                with st.container(width=200):
                    headline(row, known)
            shown(predictor, prepared.seen[number], row, known, ethnicity)


def truth(what: str, key: str) -> dict[str, object]:
    """What a visitor knows of a face, {target: label or None}."""
    known: dict[str, object] = {}
    with st.expander(f"{what}: do you know the true age and sex?"):
        for column, name in zip(st.columns(2), ("age", "sex"), strict=True):
            target = targets.TARGETS[name]
            if target.kind == "years":
                known[name] = column.number_input(
                    f"True {name}, years", 0, target.units - 1, None, key=f"true {name} {key}"
                )
            else:
                known[name] = column.selectbox(f"True {name}", target.classes, None, key=f"true {name} {key}")
    return known


def headline(row: dict, known: dict[str, object]) -> None:
    """The predictions in words, and whether they are right where that is known."""
    for name, target in targets.TARGETS.items():
        if name not in row or name == "ethnicity":
            continue
        true = known.get(name)
        if target.kind == "years":
            low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
            st.markdown(
                f"#### {row[name]:.0f} years" + (f" :small[{low:.0f} to {high:.0f}]" if low is not None else "")
            )
            if true is not None:
                st.markdown(verdict(row[name] - true, low is None or low <= true <= high, low is not None))
        else:
            right = "" if true is None else " :green[✓ right]" if true == row[name] else f" :red[✗ wrong: {true}]"
            st.markdown(f"**{row[name]}**, {row[f'{name}_p_{row[name]}']:.0%}{right}")


def verdict(error: float, inside: bool, margin: bool) -> str:
    """How far an age is off, and whether the true one lies inside the margin."""
    off = f"{abs(error):.0f} years {'too old' if error > 0 else 'too young'}" if abs(error) >= 0.5 else "right"
    if not margin:
        return off
    return f":green[✓ {off}, inside the margin]" if inside else f":red[✗ {off}, outside the margin]"


def shown(predictor: Predictor, seen: np.ndarray, row: dict, known: dict[str, object], ethnicity: bool) -> None:
    """Distributions of all targets."""
    from app import charts  # here, since Altair would hold up the first page

    probabilities = predictor.probabilities(seen[None])
    for target in predictor.targets:
        if target.name == "ethnicity" and not ethnicity:
            continue
        p = probabilities[target.name][0]
        if target.kind == "years":
            ends = (row.get(f"{target.name}_low"), row.get(f"{target.name}_high"))
            share = predictor.fitted.get(target.name, {}).get("confidence")
            margin = f", margin {ends[0]:.0f} to {ends[1]:.0f}" if share else ""
            st.altair_chart(
                charts.ages(p, row[target.name], *ends, known.get(target.name)),
                alt=f"Probability of each age; predicted {row[target.name]:.0f} years{margin}",
            )
            if share:
                st.caption(
                    f"Dark: the margin, {ends[0]:.0f} to {ends[1]:.0f} years, which holds the true age of "
                    f"{share:.0%} of faces like those of its calibration."
                )
        else:
            numbers = dict(zip(target.classes, p.tolist(), strict=True))
            st.altair_chart(charts.shares(numbers), alt=f"Probabilities of {target.name}: {percent(numbers)}")


def percent(numbers: dict[str, float]) -> str:
    """Shares as words."""
    return ", ".join(f"{name} {value:.0%}" for name, value in numbers.items())


def download(name: str, rows: dict[str, list[dict]]) -> None:
    """Buttons for the table of all faces, as commands/predict.py writes it."""
    table = [
        {"file": name} | {k: v for k, v in row.items() if k != "name"} | {"model": version}
        for version, found in rows.items()
        for row in found
    ]
    frame = pd.DataFrame(table)
    lines = "\n".join(json.dumps(row) for row in json.loads(frame.to_json(orient="records")))
    with st.container(horizontal=True):
        st.download_button("Download CSV", frame.to_csv(index=False), "faces.csv", "text/csv", on_click="ignore")
        st.download_button("Download JSON lines", lines, "faces.jsonl", "application/jsonl", on_click="ignore")
