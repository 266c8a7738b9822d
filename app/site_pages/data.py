"""The page Data: the faces of the last run, their distributions, and what was excluded and why."""

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from app import charts, face_grid, resources
from faces import targets

PARTS = ["train", "val", "calibration", "test"]
MAX_ROWS = 2000  # of a table
FACES = 48  # in a grid


def main() -> None:
    """Show one dataset, in one tab."""
    st.title("Data")
    resources.show_warnings()
    splits = sorted(path.stem for path in Path("data/splits").glob("*.csv"))
    names = splits or sorted(path.stem for path in Path("reports/cards/datasets").glob("*.md"))
    resources.require(names, "There is no data yet: run `make repro` in a shell.")
    dataset = st.segmented_control("Dataset", names, default=names[0], required=True)
    if not splits:
        st.info(
            "The pipeline has not run in this folder, so there are no faces to show. Run `make repro` in a shell "
            "(about 15 minutes for the synthetic sample). Below is the card of the committed run."
        )
        show_card(dataset)
        return
    tabs = {"Distributions": show_distributions, "Left out": show_excluded, "Faces": show_faces, "Card": show_card}
    tab = st.segmented_control("Tab", list(tabs), default="Distributions", required=True, label_visibility="collapsed")
    tabs[tab](dataset)


def read_faces(dataset: str) -> pd.DataFrame:
    """All faces, with photo_year, the number of their images and, if packed, the brightness of their images."""
    split = resources.read_table(f"data/splits/{dataset}.csv")
    clean = resources.read_table(f"data/clean/{dataset}/faces.csv")[["face_id", "photo_year", "images"]]
    rows = split.merge(clean, on="face_id", how="left")
    pack = resources.pack(dataset, "cropped")
    if pack is not None:
        rows["brightness"] = pack.column("brightness")[pack.rows(rows["face_id"])]
    return rows


def show_distributions(dataset: str) -> None:
    """Show counts, and the distributions of ages, classes, years and brightness."""
    rows = read_faces(dataset)
    sizes = {"faces": len(rows), **rows["part"].value_counts().reindex(PARTS, fill_value=0)}
    for column, (name, n) in zip(st.columns(5), sizes.items(), strict=True):
        column.metric(name, f"{n:,}")
    labelled = [
        name for name, target in targets.TARGETS.items() if target.kind == "classes" and (rows[name] != "").any()
    ]
    by = st.segmented_control("Colour by", ["part", *labelled], default="part", required=True)
    if rows["age"].notna().any():
        st.subheader("Age")
        chart = charts.counts(histogram(rows, "age", 5, by), "age", by, "age, years")
        st.altair_chart(chart, alt=f"Faces by age and {by}")
    for column, name in zip(st.columns(max(1, len(labelled))), labelled, strict=False):
        table = ordered(ordered(rows.groupby([name, "part"]).size().reset_index(name="faces"), "part"), name)
        chart = charts.counts(table, name, "part", name, list(dict.fromkeys(table[name])))
        column.subheader(name.capitalize())
        column.altair_chart(chart, alt=f"Faces by {name} and part")
    st.subheader("Age by group")
    st.dataframe(age_summary(rows, labelled), hide_index=True, alt="Mean and quartiles of age in each group")
    quartiles = age_quartiles(rows)
    left, *right = st.columns(2 if len(quartiles) else 1)
    if len(quartiles):
        chart = charts.band(quartiles, "year", "year of the photo", "age, years")
        left.subheader("Age by year of the photo")
        left.altair_chart(chart, alt="Median and quartiles of age by the year of the photo")
    if "brightness" in rows:
        chart = charts.counts(histogram(rows, "brightness", 10, by), "brightness", by, "mean luma, 0 to 255")
        column = right[0] if right else left
        column.subheader("Brightness")
        column.altair_chart(chart, alt=f"Faces by the brightness of their images and {by}")


def histogram(rows: pd.DataFrame, column: str, width: int, by: str) -> pd.DataFrame:
    """Counts (column `faces`) by the start of a bin of `column`, and by another column."""
    binned = rows.assign(**{column: (rows[column] // width * width).astype(float)}).groupby([column, by])
    return ordered(binned.size().reset_index(name="faces"), by)


def ordered(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Rows in the order of the parts, or of a target's classes; '' comes last, renamed to unlabelled."""
    order = PARTS if by == "part" else [*targets.TARGETS[by].classes, ""]
    table = table.sort_values(by, key=lambda column: column.map(order.index), kind="stable")
    return table.assign(**{by: table[by].replace("", "unlabelled")})


def age_summary(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Number of faces, mean and percentiles of age, of all faces and of each class."""
    groups = {"all faces": rows} | {str(label): part for name in names for label, part in rows.groupby(name) if label}
    return pd.DataFrame(
        {
            "group": label,
            "faces": len(part),
            "with an age": int(part["age"].notna().sum()),
            "mean": part["age"].mean(),
            **{f"{q:.0%}": part["age"].quantile(q) for q in (0.05, 0.25, 0.5, 0.75, 0.95)},
        }
        for label, part in groups.items()
    ).round(1)


def age_quartiles(rows: pd.DataFrame) -> pd.DataFrame:
    """Median (`value`), quartiles (`low`, `high`) of age and n, by year of the photo."""
    ages = rows.dropna(subset=["photo_year", "age"]).groupby("photo_year")["age"]
    columns = {"value": ages.median(), "low": ages.quantile(0.25), "high": ages.quantile(0.75), "n": ages.size()}
    return pd.DataFrame(columns).rename_axis("year").reset_index()


def show_excluded(dataset: str) -> None:
    """Show counts from records to faces, rejects with reasons, and duplicates with different labels."""
    folder, funnel = Path("data/clean", dataset), Path(f"data/records/{dataset}-funnel.csv")
    summary = resources.read_json(folder / "summary.json")
    if funnel.exists():
        st.subheader("From the .mat file to records")
        st.dataframe(resources.read_table(funnel), hide_index=True)
    st.subheader("From records to faces")
    steps = {"records": summary["records"], **summary["rejected"], "kept": summary["kept"]}
    st.dataframe(pd.DataFrame(steps.items(), columns=["step", "faces"]), hide_index=True)
    rejects = resources.read_table(folder / "rejects.csv")
    reasons = rejects["reject"].str.replace(r"^copy of .*", "copy of another", regex=True)
    reason = st.selectbox("Reason", ["all", *sorted(reasons.unique())])
    show_head(rejects[(reasons == reason) | (reason == "all")][["face_id", "reject"]])
    st.subheader("Duplicates with different labels")
    conflicts = ", ".join(
        f"{n} of {name} ({summary['labels_masked'][name]} masked)" for name, n in summary["labels_in_conflict"].items()
    )
    st.markdown(f"{summary['faces_with_copies']:,} faces have duplicates. Conflicting labels: {conflicts}.")
    show_head(resources.read_table(folder / "conflicts.csv"))
    duplicated = resources.read_table(folder / "faces.csv").query("images > 1")
    if len(duplicated) and resources.pack(dataset, "cropped"):
        st.subheader("Faces with the most duplicates")
        rows = duplicated.nlargest(FACES // 2, "images")
        face_grid.show(dataset, "cropped", rows, [f"{n} images" for n in rows["images"].astype(int)])


def show_head(table: pd.DataFrame) -> None:
    """Show the first MAX_ROWS rows of a table."""
    st.dataframe(table[:MAX_ROWS], hide_index=True)
    if len(table) > MAX_ROWS:
        st.caption(f"The first {MAX_ROWS:,} of {len(table):,} rows.")


def show_faces(dataset: str) -> None:
    """Show random faces of the group that the user selects."""
    rows, folders = read_faces(dataset), sorted(Path("data/packs", dataset).glob("*"))
    variants = [folder.name for folder in folders if resources.pack(dataset, folder.name)]
    resources.require(variants, face_grid.NO_IMAGES)
    left, middle, right = st.columns([2, 3, 1], vertical_alignment="bottom")
    variant = left.segmented_control("Variant", variants, default=variants[0], required=True)
    parts = middle.segmented_control("Part", PARTS, selection_mode="multi", default=[])
    rows = face_grid.choose_group(rows[rows["part"].isin(parts or PARTS)], "grid")
    seed = face_grid.seed("grid_seed", right.button("Other faces", icon=":material/shuffle:"))
    st.caption(f"{min(FACES, len(rows)):,} of {len(rows):,} faces.")
    resources.require(len(rows), "No face is in all of these groups.")
    sample = rows.sample(min(FACES, len(rows)), random_state=np.random.default_rng(seed))
    face_grid.show(dataset, variant, sample, [face_grid.label_text(row) for _, row in sample.iterrows()])
    sheet = Path("data/packs", dataset, variant, "contact_sheet.jpg")
    if sheet.exists():
        with st.expander("Contact sheet: what was cut out of the images"):
            st.image(str(sheet))


def show_card(dataset: str) -> None:
    """Show the dataset card, without its front matter."""
    page = Path(f"reports/cards/datasets/{dataset}.md")
    resources.require(page.exists(), "There is no card yet: run `make repro` in a shell.")
    st.markdown(page.read_text().split("\n---\n", 1)[-1].replace("\n# ", "\n## ", 1))
