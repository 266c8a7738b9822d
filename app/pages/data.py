"""The page Data: what a run found in the archives, what it left out, and the faces themselves."""

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from app import charts, face_grid, resources
from faces import targets

PARTS = ["train", "val", "calibration", "test"]
LISTED = 2000  # rows of a table
SHOWN = 48  # faces in a grid
VIEWS = ["Distributions", "Left out", "Faces", "Card"]


def main() -> None:
    """Show one dataset, from one side."""
    st.title("Data")
    for text in resources.warnings():
        st.warning(text, icon=":material/draw:")
    made = sorted(path.stem for path in Path("data/splits").glob("*.csv"))
    told = sorted(path.stem for path in Path("reports/cards/datasets").glob("*.md"))
    if not made and not told:
        st.info("There is no data yet: `make repro` in a shell draws or fetches it, and this page shows it.")
        return
    dataset = st.segmented_control("Dataset", made or told, default=(made or told)[0], required=True)
    if not made:
        st.info(
            "The pipeline has not run in this folder, so there are no faces to show: `make repro` in a shell makes "
            "them (about 15 minutes for the drawn sample). Below is the card of the run that was committed."
        )
        card(dataset)
        return
    view = st.segmented_control("View", VIEWS, default=VIEWS[0], required=True, label_visibility="collapsed")
    {"Distributions": distributions, "Left out": left_out, "Faces": show_faces, "Card": card}[view](dataset)


def read(dataset: str) -> pd.DataFrame:
    """Faces of all parts, with what the dataset knows of them, and the brightness of their pictures."""
    split = resources.table(f"data/splits/{dataset}.csv")
    known = resources.table(f"data/clean/{dataset}/faces.csv")[["face_id", "photo_year", "copies"]]
    rows = split.merge(known, on="face_id", how="left")
    pack = resources.pack(dataset, "cropped")
    if pack is not None:
        rows["brightness"] = pack.column("brightness")[pack.rows(rows["face_id"])]
    return rows


def distributions(dataset: str) -> None:
    """Counts, and how ages, classes, years and brightness are spread."""
    rows = read(dataset)
    parts = rows["part"].value_counts()
    for column, (name, n) in zip(
        st.columns(5), {"faces": len(rows), **parts.reindex(PARTS, fill_value=0)}.items(), strict=True
    ):
        column.metric(name, f"{n:,}")
    labelled = [
        name for name, target in targets.TARGETS.items() if target.kind == "classes" and (rows[name] != "").any()
    ]
    by = st.segmented_control("Colour by", ["part", *labelled], default="part", required=True)
    if rows["age"].notna().any():
        st.subheader("Age")
        counted = by_years(rows, "age", 5, by)
        st.altair_chart(charts.counts(counted, "age", by, "age, years"), alt=f"Faces by age and {by}")
    for column, name in zip(st.columns(max(1, len(labelled))), labelled, strict=False):
        table = ordered(ordered(rows.groupby([name, "part"]).size().reset_index(name="faces"), "part"), name)
        with column:
            st.subheader(name.capitalize())
            st.altair_chart(
                charts.counts(table, name, "part", name, list(dict.fromkeys(table[name]))),
                alt=f"Faces by {name} and part",
            )
    st.subheader("Age by group")
    st.dataframe(summary(rows, labelled), hide_index=True, alt="Mean and quartiles of age in each group")
    dated = rows.dropna(subset=["photo_year", "age"]).shape[0] > 0
    columns = iter(st.columns(2 if dated else 1))
    if dated:
        with next(columns):
            st.subheader("Age by year of the photo")
            st.altair_chart(
                charts.band(quartiles(rows), "year", "year of the photo", "age, years"),
                alt="Median and quartiles of age by the year of the photo",
            )
    if "brightness" in rows:
        with next(columns):
            st.subheader("Brightness")
            st.altair_chart(
                charts.counts(by_years(rows, "brightness", 10, by), "brightness", by, "mean luma, 0 to 255"),
                alt=f"Faces by the brightness of their pictures and {by}",
            )


def by_years(rows: pd.DataFrame, column: str, step: int, by: str) -> pd.DataFrame:
    """Faces (column `faces`) in steps of a number, and by another column."""
    known = rows[rows[column].notna()]
    start = (known[column] // step * step).astype(float)
    return ordered(known.groupby([start.rename(column), known[by]]).size().reset_index(name="faces"), by)


def ordered(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Rows in the order of the parts, or of a target's classes, '' last and called unlabelled."""
    order = PARTS if by == "part" else [*targets.TARGETS[by].classes, ""]
    table = table.sort_values(
        by, key=lambda column: column.map({name: i for i, name in enumerate(order)}), kind="stable"
    )
    return table.assign(**{by: table[by].replace("", "unlabelled")})


def summary(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Faces, mean and percentiles of age, of all and of each class."""
    groups = {"all faces": rows} | {str(label): part for name in names for label, part in rows.groupby(name) if label}
    table = [
        {
            "group": label,
            "faces": len(part),
            "with an age": int(part["age"].notna().sum()),
            "mean": part["age"].mean(),
            **{f"{q:.0%}": part["age"].quantile(q) for q in (0.05, 0.25, 0.5, 0.75, 0.95)},
        }
        for label, part in groups.items()
    ]
    return pd.DataFrame(table).round(1)


def quartiles(rows: pd.DataFrame) -> pd.DataFrame:
    """Median (`value`), quartiles (`low`, `high`) of age and n, by year of the photo."""
    years = rows.dropna(subset=["photo_year", "age"]).groupby("photo_year")["age"]
    found = pd.DataFrame(
        {"value": years.median(), "low": years.quantile(0.25), "high": years.quantile(0.75), "n": years.size()}
    )
    return found.rename_axis("year").reset_index()


def left_out(dataset: str) -> None:
    """The funnel from records to faces: rejects with reasons, copies, and labels that copies disagree on."""
    folder = Path("data/clean", dataset)
    found = resources.document(str(folder / "summary.json"))
    funnel = Path(f"data/records/{dataset}-funnel.csv")
    if funnel.exists():
        st.subheader("From the .mat file to records")
        st.dataframe(resources.table(str(funnel)), hide_index=True)
    st.subheader("From records to faces")
    steps = {"records": found["records"], **found["rejected"], "kept": found["kept"]}
    table = pd.DataFrame({"what became of them": list(steps), "faces": list(steps.values())})
    st.dataframe(table, hide_index=True)
    rejects = resources.table(str(folder / "rejects.csv"))
    reasons = rejects.assign(reason=rejects["reject"].str.replace(r"^copy of .*", "copy of another", regex=True))
    reason = st.selectbox("Reason", ["all", *sorted(reasons["reason"].unique())])
    listed(reasons[(reasons["reason"] == reason) | (reason == "all")][["face_id", "reject"]])
    st.subheader("Copies that disagree")
    conflicts = resources.table(str(folder / "conflicts.csv"))
    masked = ", ".join(
        f"{n} of {name} (of them {found['labels_masked'][name]} masked)"
        for name, n in found["labels_in_conflict"].items()
    )
    st.markdown(f"{found['faces_with_copies']:,} faces have copies. Labels that they disagree on: {masked}.")
    listed(conflicts)
    with_copies = resources.table(str(folder / "faces.csv")).query("copies > 1")
    if len(with_copies) and resources.pack(dataset, "cropped"):
        st.subheader("Faces with the most copies")
        shown = with_copies.nlargest(SHOWN // 2, "copies")
        face_grid.grid(dataset, "cropped", shown, [f"{int(row['copies'])} copies" for _, row in shown.iterrows()])


def listed(table: pd.DataFrame) -> None:
    """The first rows of a table that may be long."""
    st.dataframe(table[:LISTED], hide_index=True)
    if len(table) > LISTED:
        st.caption(f"The first {LISTED:,} of {len(table):,}.")


def show_faces(dataset: str) -> None:
    """Faces of any group, drawn at random."""
    rows = read(dataset)
    pictured = [
        path.name for path in sorted(Path("data/packs", dataset).glob("*")) if resources.pack(dataset, path.name)
    ]
    if not pictured:
        st.info("Their pictures are not here: `make repro` in a shell makes them.")
        return
    variant, part, more = st.columns([2, 3, 1], vertical_alignment="bottom")
    shown_as = variant.segmented_control("Variant", pictured, default=pictured[0], required=True)
    parts = part.segmented_control("Part", PARTS, selection_mode="multi", default=[])
    rows = face_grid.only(rows[rows["part"].isin(parts or PARTS)], "grid")
    if more.button("Others", icon=":material/shuffle:"):
        st.session_state["drawn"] = st.session_state.get("drawn", 0) + 1
    st.caption(f"{min(SHOWN, len(rows)):,} of {len(rows):,} faces.")
    if not len(rows):
        st.info("No face is in all of these groups.")
        return
    drawn = rows.sample(min(SHOWN, len(rows)), random_state=np.random.default_rng(st.session_state.get("drawn", 0)))
    face_grid.grid(dataset, shown_as, drawn, [face_grid.labels(row) for _, row in drawn.iterrows()])


def card(dataset: str) -> None:
    """The dataset's card, without its front matter."""
    page = Path(f"reports/cards/datasets/{dataset}.md")
    if not page.exists():
        st.info("The pipeline writes it at its end: `make repro`.")
        return
    st.markdown(page.read_text().split("\n---\n", 1)[-1].replace("\n# ", "\n## ", 1))
