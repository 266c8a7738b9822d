"""Results on the page Predict: the photo with its faces, and the predictions of one or two models for each face."""

import json

import numpy as np
import pandas as pd
import streamlit as st

from app import photo, resources
from app.upload import Upload
from faces import targets
from faces.inference import photos
from faces.inference.predictor import ModelError, Predictor

MAX_FACES = 12  # on the page at once
CAUTION = (
    "Estimates of how people would perceive a face, from one photo. They are often years off, and less accurate for "
    "some groups (see Models). Do not use them for decisions about a person. The photo stays in memory and is deleted "
    "with this page."
)


def show(
    upload: Upload | None, left: st.delta_generator.DeltaGenerator, right: st.delta_generator.DeltaGenerator
) -> None:
    """Ask for a model, and show its predictions for the photo; left, right: the columns at the top of the page."""
    with left:
        loaded = photo.load(upload)
    with right:
        models = choose_models()
        with st.expander("Settings"):
            cropped, min_score = photo.settings()
            ethnicity = st.toggle("Show ethnicity", key="ethnicity", help="Five classes, as in UTKFace.")
    st.caption(CAUTION)
    if loaded is None:
        resources.preload()
        return
    prepared = {label: prepare(loaded, name, cropped, min_score) for label, name in models.items()}
    show_photo(loaded, {label: pair for label, pair in prepared.items() if pair}, ethnicity)


def choose_models() -> dict[str, str]:
    """One model, and optionally a second one: {label: name}."""
    known, why = resources.models()
    first = st.selectbox(
        "Model", list(known), key="model", help="Default: faces-utkface@champion, else the shipped one."
    )
    if first == next(iter(known)):
        st.caption(f"{first} answers: {why}.")
    others = [label for label in known if label != first]
    second = st.selectbox("Compare with", others, index=None, placeholder="no other", key="second")
    return {label: known[label] for label in (first, second) if label}


def prepare(
    loaded: photo.Photo, name: str, cropped: bool, min_score: float
) -> tuple[Predictor, photos.Prepared] | None:
    """A model and its inputs, the faces of a photo; None if it cannot be loaded (a message is shown)."""
    try:
        predictor = resources.predictor(name)
    except ModelError as error:
        st.error(str(error))
        return None
    with st.spinner("Detecting faces ..."):
        return predictor, photos.Prepared(loaded.name, *loaded.faces(predictor, cropped, min_score))


def show_photo(loaded: photo.Photo, prepared: dict[str, tuple[Predictor, photos.Prepared]], ethnicity: bool) -> None:
    """Show the photo with boxes, then all predictions for each face, and for the whole photo of models that take it."""
    for label, (predictor, _) in prepared.items():
        resources.warn(predictor, label)
    rows = {label: list(photos.predict([faces], predictor)) for label, (predictor, faces) in prepared.items()}
    whole = [label for label, (predictor, _) in prepared.items() if photos.framing(predictor) is None]
    by_face = {label: pair for label, pair in prepared.items() if label not in whole}
    places = next((faces.places for _, faces in by_face.values()), [])
    left, right = st.columns([2, 3])
    with left:
        st.image(
            photo.with_boxes(loaded.image, [place for place in places if place]),
            alt=f"The photo, with numbered boxes around {len(places)} faces",
            width="stretch",
        )
        if by_face and not places:
            st.warning(photo.NO_FACE)
        if any(rows.values()):
            download(loaded.name, rows)
    with right:
        if len(places) > MAX_FACES:
            st.info(f"{len(places)} faces were detected. The {MAX_FACES} largest are shown; the files contain all.")
        for number, place in enumerate(places[:MAX_FACES]):
            with st.container(border=True):
                show_face(f"Face {number + 1}", f"{loaded.key} {place}", number, by_face, rows, ethnicity)
        for label in whole:
            with st.container(border=True):
                model = {label: prepared[label]}
                show_face("The whole photo", f"{loaded.key} whole {label}", 0, model, rows, ethnicity)


def show_face(
    title: str,
    key: str,
    number: int,
    prepared: dict[str, tuple[Predictor, photos.Prepared]],
    rows: dict[str, list[dict]],
    ethnicity: bool,
) -> None:
    """Show one face: its true labels if known, and one column of predictions per model; key: unique for the face."""
    age, sex = targets.TARGETS["age"], targets.TARGETS["sex"]
    with st.expander(f"{title}: do you know the true age and sex?"):
        left, right = st.columns(2)
        true_labels = {
            "age": left.number_input("True age, years", 0, age.units - 1, None, key=f"true age {key}"),
            "sex": right.selectbox("True sex", sex.classes, None, key=f"true sex {key}"),
        }
    for column, (label, (predictor, faces)) in zip(st.columns(len(prepared)), prepared.items(), strict=True):
        with column:
            row = rows[label][number]
            st.caption(f"{label} ({predictor.metadata['variant']})")
            with st.container(horizontal=True):
                st.image(faces.inputs[number], width=110, alt=f"{title}, the model's input")
                with st.container(width=200):
                    show_predictions(row, true_labels)
            show_probabilities(predictor, faces.inputs[number], row, true_labels, ethnicity)


def show_predictions(row: dict, true_labels: dict[str, object]) -> None:
    """Show the predictions in words, and whether they are right if the true label is known."""
    for name, target in targets.TARGETS.items():
        true = true_labels.get(name)
        if name not in row or name == "ethnicity":
            continue
        if target.kind == "years":
            low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
            st.markdown(
                f"#### {row[name]:.0f} years" + (f" :small[{low:.0f} to {high:.0f}]" if low is not None else "")
            )
            if true is not None:
                st.markdown(age_error(row[name] - true, low is None or low <= true <= high, low is not None))
        else:
            right = "" if true is None else " :green[✓ right]" if true == row[name] else f" :red[✗ wrong: {true}]"
            st.markdown(f"**{row[name]}**, {row[f'{name}_p_{row[name]}']:.0%}{right}")


def age_error(error: float, inside: bool, has_interval: bool) -> str:
    """Error of a predicted age in words; error: predicted less true, years; inside: the interval has the true age."""
    text = f"{abs(error):.0f} years {'too old' if error > 0 else 'too young'}" if abs(error) >= 0.5 else "right"
    if not has_interval:
        return text
    return f":green[✓ {text}, inside the interval]" if inside else f":red[✗ {text}, outside the interval]"


def show_probabilities(
    predictor: Predictor, face: np.ndarray, row: dict, true_labels: dict[str, object], ethnicity: bool
) -> None:
    """Show the probabilities of all targets; face: the model's input (s, s, 3) uint8."""
    from app import charts  # here, since importing Altair would delay the first page

    probabilities = predictor.probabilities(face[None])
    for target in predictor.targets:
        if target.name == "ethnicity" and not ethnicity:
            continue
        p = probabilities[target.name][0]
        if target.kind == "years":
            low, high = row.get(f"{target.name}_low"), row.get(f"{target.name}_high")
            confidence = predictor.fitted.get(target.name, {}).get("confidence")
            interval = f", interval {low:.0f} to {high:.0f}" if confidence else ""
            st.altair_chart(
                charts.ages(p, row[target.name], low, high, true_labels.get(target.name)),
                alt=f"Probability of each age; predicted {row[target.name]:.0f} years{interval}",
            )
            if confidence:
                st.caption(
                    f"Dark: the interval, {low:.0f} to {high:.0f} years. It contains the true age of {confidence:.0%} "
                    "of faces like those of the calibration split."
                )
        else:
            shares = dict(zip(target.classes, p.tolist(), strict=True))
            text = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
            st.altair_chart(charts.shares(shares), alt=f"Probabilities of {target.name}: {text}")


def download(name: str, rows: dict[str, list[dict]]) -> None:
    """Buttons for the table of all faces, as commands/predict.py writes it."""
    table = pd.DataFrame(
        {"file": name} | {k: v for k, v in row.items() if k != "name"} | {"model": version}
        for version, faces in rows.items()
        for row in faces
    )
    lines = "\n".join(json.dumps(row) for row in json.loads(table.to_json(orient="records")))
    with st.container(horizontal=True):
        st.download_button("Download CSV", table.to_csv(index=False), "faces.csv", "text/csv", on_click="ignore")
        st.download_button("Download JSON lines", lines, "faces.jsonl", "application/jsonl", on_click="ignore")
