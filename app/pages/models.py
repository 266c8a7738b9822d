"""The page Models: how good each model is, for whom, how it came to be, and what the gate and MLflow say of it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from app import charts, face_grid, resources
from faces import scores, targets
from faces.evaluation import predictions
from faces.evaluation.subgroups import ALL
from faces.gate import decisions

PUBLISHED = "published: "  # before the name of a result that was published
POINTS = 4000  # of a scatter plot
GRID = 24  # faces
PARTS = ["test", "val", "calibration"]
DECADE, STEP = 10, 5  # years
BY_DECADE = {  # title: target, and what score_of takes
    "RMSE of age, years": ("age", "rmse"),
    "MAE of age, years": ("age", "mae"),
    "accuracy of sex": ("sex", "accuracy"),
    "accuracy of ethnicity": ("ethnicity", "accuracy"),
}
VERDICTS = {decisions.UNCHANGED: st.success, decisions.IMPROVED: st.success}
UI = "http://127.0.0.1:5000"
EMPTY = "No model has been evaluated here yet: `make repro` in a shell trains and evaluates them."


def main() -> None:
    """Show one side of the models."""
    st.title("Models")
    views = {
        "Overview": overview,
        "By age and group": by_group,
        "Learning": learning,
        "Variants": pairs,
        "Gate": gate,
        "Faces": worst_faces,
        "MLflow": mlflow,
    }
    view = st.segmented_control("View", list(views), default="Overview", required=True, label_visibility="collapsed")
    if view != "MLflow" and not sources():
        st.info(EMPTY)
        return
    views[view]()


def sources() -> dict[str, Path]:
    """Where the results of each model lie, those that were published last."""
    made = {path.parent.name: path.parent for path in sorted(Path("reports/models").glob("*/metrics.json"))}
    told = {
        f"{PUBLISHED}{path.parent.name}": path.parent
        for path in sorted(Path("reports/published").glob("*/results.csv"))
    }
    return made | told


def choose(known: dict[str, Path], key: str) -> str:
    """The model that a visitor picks; with a warning where its faces were drawn."""
    name = st.selectbox("Model", list(known), key=key)
    if not name.startswith(PUBLISHED):
        for text in resources.warnings():
            st.warning(text, icon=":material/draw:")
    return name


def overview() -> None:
    """All models in one table, and one model's scores in every part."""
    st.subheader("Published")
    for name, folder in sources().items():
        if name.startswith(PUBLISHED):
            st.markdown(
                f"**{name.removeprefix(PUBLISHED)}**, on test faces that no choice was made on; `{folder}/README.md` "
                "says how it was made."
            )
            st.dataframe(headlines(resources.table(f"{folder}/results.csv")), hide_index=True)
            for table, title in (
                ("peers.csv", "Other networks, trained by the same stages at a short budget"),
                ("levers.csv", "What was tried, one change at a time, on validation"),
            ):
                if (folder / table).exists():
                    with st.expander(title):
                        st.dataframe(resources.table(f"{folder}/{table}"), hide_index=True)
    compared = Path("reports/comparison/models.csv")
    if not compared.exists():
        st.info(EMPTY)
        return
    st.subheader("The last run in this folder")
    for text in resources.warnings():
        st.warning(text, icon=":material/draw:")
    st.dataframe(resources.table(str(compared)), hide_index=True)
    st.subheader("Scores by part")
    st.caption("A model that is much better on train than on test has learnt faces by heart.")
    made = [name for name in sources() if not name.startswith(PUBLISHED)]
    if not made:
        st.info(EMPTY)
        return
    name = st.selectbox("Model", made, key="parts")
    found = resources.document(f"reports/models/{name}/metrics.json")
    st.dataframe(pd.DataFrame(found).rename_axis("score").reset_index(), hide_index=True, height=460)


def headlines(table: pd.DataFrame) -> pd.DataFrame:
    """Headline rows of a results.csv with their intervals."""
    rows = table[table["headline"] & (table["group"] == "")]
    return pd.DataFrame(
        {
            "score": rows["title"],
            "test faces": rows["n"],
            "value": rows["value"].round(4),
            "low": rows["low"].round(4),
            "high": rows["high"].round(4),
        }
    )


def by_group() -> None:
    """Errors and accuracies by age and by group, with intervals; and each face of a part."""
    known = sources()
    name = choose(known, "groups_of")
    folder = known[name] if name.startswith(PUBLISHED) else Path("reports/groups", name)
    if (folder / "groups.csv").exists():
        groups(resources.table(str(folder / "groups.csv")))
    if name.startswith(PUBLISHED):
        st.caption("Predictions of single faces are not published with it.")
        return
    part = st.segmented_control("Part", PARTS, default="test", required=True)
    said = predicted(name, part)
    if len(said):
        each_face(said, part)


def groups(table: pd.DataFrame) -> None:
    """One score of all groups of a kind, that a visitor picks; rows of groups.csv."""
    left, right = st.columns(2)
    scores = {f"{target} {score}": (target, score) for target, score in table[["target", "score"]].to_numpy()}
    target, score = scores[left.selectbox("Score", list(dict.fromkeys(scores)))]
    by = right.selectbox("Groups", [by for by in table["by"].unique() if isinstance(by, str) and by])
    rows = table[(table["target"] == target) & (table["score"] == score)]
    rows = rows[(rows["by"] == by) | (rows["group"] == ALL)]
    few = rows["value"].isna()
    st.altair_chart(
        charts.intervals(rows[~few], "group", f"{target} {score}"),
        alt=f"{target} {score} by {by}, test faces, with intervals",
    )
    if few.any():
        told = ", ".join(f"{group} ({int(n)})" for group, n in rows.loc[few, ["group", "n"]].to_numpy())
        st.caption(f"Too few test faces to score: {told}.")


def predicted(name: str, part: str) -> pd.DataFrame:
    """What a model said of the faces of a part; none, with the reason shown, where no file is usable."""
    try:
        return predictions.read(name, part)
    except FileNotFoundError:
        st.info("Predictions of single faces are not in git: `make repro` in a shell makes them.")
        return pd.DataFrame()
    except (predictions.PredictionsError, OSError) as error:
        st.error(str(error))
        return pd.DataFrame()


def each_face(said: pd.DataFrame, part: str) -> None:
    """Plots of rows of predictions.csv: predicted against true age, and scores by decade, of both sexes and each."""
    if "age" not in said:
        st.info("These faces have no age labels, by which plots are laid out.")
        return
    known = said[said["age"].notna()]
    left, right = st.columns(2)
    if "age_predicted" in said and len(known):
        shown = (known if len(known) <= POINTS else known.sample(POINTS, random_state=0)).round(1)
        titles = ("true age, years", "predicted age, years")
        with left:
            st.subheader("Predicted against true age")
            st.altair_chart(
                charts.scatter(shown, "age", "age_predicted", "sex" if "sex" in shown else None, titles),
                alt=f"Predicted against true age of {len(shown)} {part} faces",
            )
    with right:
        st.subheader("By age")
        told = [title for title, (target, _) in BY_DECADE.items() if f"{target}_predicted" in said and target in said]
        title = st.selectbox("Score by decade", told)
        least = resources.evaluated().min_n
        table = by_decade(known, *BY_DECADE[title], least)
        st.altair_chart(
            charts.lines(table, "age", "value", "who", "true age, years", title), alt=f"{title} by decade of age"
        )
        st.caption(f"Decades of {least} faces or more.")
    told = [target for target in targets.TARGETS.values() if f"{target.name}_predicted" in said and target.name in said]
    for column, target in zip(st.columns(len(told)), told, strict=True):
        with column:
            if target.kind == "years":
                st.subheader(f"{target.name.capitalize()}, true and predicted")
                table = spread(said, target.name)
                chart = charts.lines(table, "years", "faces", "which", f"{target.name}, years", "faces")
                st.altair_chart(chart, alt=f"Faces by true and by predicted {target.name}")
            else:
                st.subheader(f"{target.name.capitalize()}, confused")
                chart = charts.confusion(confused(said, target), target.classes)
                st.altair_chart(chart, alt=f"Faces by true and predicted {target.name}")


def spread(said: pd.DataFrame, name: str) -> pd.DataFrame:
    """Columns years (middle of five), faces and which: true or predicted; of the labelled rows of predictions.csv."""
    said = said[said[name].notna()]
    parts = {"true": said[name], "predicted": said[f"{name}_predicted"]}
    counted = [
        (years // STEP * STEP + STEP / 2).value_counts().sort_index().rename_axis("years").reset_index(name="faces")
        for years in parts.values()
    ]
    return pd.concat([table.assign(which=which) for which, table in zip(parts, counted, strict=True)])


def confused(said: pd.DataFrame, target: targets.Target) -> pd.DataFrame:
    """Columns true, predicted, faces and share, of the true class; of the labelled rows of predictions.csv."""
    said = said[said[target.name] != ""]
    table = pd.crosstab(said[target.name], said[f"{target.name}_predicted"])
    table = table.reindex(index=target.classes, columns=target.classes, fill_value=0)
    table = table.rename_axis(index="true", columns="predicted").stack().reset_index(name="faces")
    return table.assign(share=table["faces"] / table.groupby("true")["faces"].transform("sum").clip(lower=1))


def by_decade(said: pd.DataFrame, target: str, score: str, least: int) -> pd.DataFrame:
    """Columns age (middle of a decade), who (both sexes, or one), value and n; of `least` labelled faces or more."""
    said, rows = said[said[target].notna() & (said[target] != "")], []
    sexes = {label: some for label, some in said.groupby("sex") if label} if "sex" in said else {}
    for who, some in ({"both": said} | sexes).items():
        for start, decade in some.groupby(some["age"] // DECADE * DECADE):
            if len(decade) >= least:
                value = score_of(decade, target, score)
                rows.append({"age": start + DECADE / 2, "who": who, "value": value, "n": len(decade)})
    return pd.DataFrame(rows, columns=["age", "who", "value", "n"])


def score_of(rows: pd.DataFrame, target: str, score: str) -> float:
    """MAE of the median or RMSE of the mean in years, or accuracy, of labelled rows of predictions.csv."""
    if score == "mae":
        return float((rows[f"{target}_predicted"] - rows[target]).abs().mean())
    if score == "rmse":
        return float(np.sqrt(((rows[f"{target}_mean"] - rows[target]) ** 2).mean()))
    return float((rows[target] == rows[f"{target}_predicted"]).mean())


def learning() -> None:
    """Curves of a training, and the trials of the search before it."""
    known = {name: folder for name, folder in sources().items() if (folder / "history.csv").exists()}
    if not known:
        st.info(EMPTY)
        return
    name = choose(known, "learnt")
    history = resources.table(str(known[name] / "history.csv"))
    if not len(history):
        st.info("It was not trained: it tells the same of every face.")
        return
    for column, (title, wanted) in zip(st.columns(3), curves(list(history)).items(), strict=False):
        table = history.melt("epoch", wanted, "curve").dropna()
        table["curve"] = table["curve"].str.removeprefix("val_")
        with column:
            st.altair_chart(charts.lines(table, "epoch", "value", "curve", "epoch", title), alt=f"{title} by epoch")
    st.subheader("Search")
    trials = searched(name, known[name])
    if trials is None or not len(trials):
        st.info("Its search is not here: `dvc repro tune` makes it." if trials is None else "No trial was run.")
        return
    st.dataframe(trials, hide_index=True)


def curves(names: list[str]) -> dict[str, list[str]]:
    """Columns of a history that belong in one plot."""
    found = {
        "loss": [name for name in names if name.endswith("loss")],
        "years": [name for name in names if name.endswith("mae")],
        "share": [name for name in names if name.endswith(("accuracy", "score"))],
    }
    return {title: wanted for title, wanted in found.items() if wanted}


def searched(name: str, folder: Path) -> pd.DataFrame | None:
    """One row a trial; None where nothing is known of a search."""
    if name.startswith(PUBLISHED):
        path = folder / "trials.csv"
        return resources.table(str(path)) if path.exists() else None
    path = Path(f"data/tuned/{name}.json")
    if not path.exists():
        return None
    trials = json.loads(path.read_text())["trials"]
    return pd.DataFrame([{"trial": row["trial"], "score": row["score"], **row["values"]} for row in trials])


def pairs() -> None:
    """One variant of a model against another, on the same faces."""
    found = sorted(Path("reports/comparison").glob("*_against_*.csv"))
    if not found:
        st.info("No two models differ in their variant alone: see `models` in params.yaml.")
        return
    for text in resources.warnings():
        st.warning(text, icon=":material/draw:")
    for path in found:
        first, second = path.stem.split("_against_")
        for dataset, rows in resources.table(str(path)).groupby("dataset"):
            st.subheader(f"{dataset}: {first} against {second}")
            against(rows, first, second)


def against(rows: pd.DataFrame, first: str, second: str) -> None:
    """Differences of the scores of two variants; rows of FIRST_against_SECOND.csv of one dataset."""
    st.caption(
        f"The same test faces, paired: {first} less {second}. Above 0, errors (MAE, RMSE) of {first} are larger; below "
        "0, its accuracies are lower."
    )
    years = rows["score"].str.contains("MAE|RMSE")
    for column, (some, unit) in zip(st.columns(2), ((rows[years], "years"), (rows[~years], "share")), strict=True):
        shown = some.rename(columns={"difference": "value"})
        title = f"{first} less {second}, {unit}"
        column.altair_chart(charts.intervals(shown, "score", title, zero=True), alt=title)
    st.dataframe(rows.round(4), hide_index=True)


def gate() -> None:
    """The gate's last verdict."""
    page = Path("reports/gate/table.md")
    if not page.exists():
        st.info("The gate has not judged yet: `make gate` in a shell does.")
        return
    found = resources.document("reports/gate/verdict.json")
    for baseline, judged in found.items():
        for model, row in judged["models"].items():
            tell = st.error if row["reasons"] else VERDICTS.get(row["verdict"], st.info)
            tell(f"{baseline}, {model}: {row['verdict']}" + "".join(f"\n- {why}" for why in row["reasons"]))
    compared = resources.table("reports/gate/comparisons.csv")
    if not len(compared):
        return
    model = st.selectbox("Model", list(compared["model"].unique()), key="judged")
    target = st.segmented_control(
        "Target", list(compared["target"].unique()), default=compared["target"].iloc[0], required=True
    )
    rows = compared[(compared["model"] == model) & (compared["target"] == target)]
    shown = rows.rename(columns={"difference": "value"})
    unit = "years of MAE" if targets.TARGETS[target].kind == "years" else "accuracy"
    st.altair_chart(
        charts.intervals(shown, "slice", f"now less baseline, {unit}", "verdict", zero=True),
        alt=f"Now less baseline in each group, {unit}",
    )
    st.dataframe(rows.round(4), hide_index=True)


def worst_faces() -> None:
    """Test faces of one model: at random, or those that it is most wrong about."""
    known = [name for name in sources() if not name.startswith(PUBLISHED)]
    if not known:
        st.info(EMPTY)
        return
    name = choose(dict.fromkeys(known), "faces_of")
    about = Path(f"data/models/{name}/model.json")
    if not about.exists():
        st.info("The pictures of its faces are not here: `make repro` in a shell makes them.")
        return
    row = resources.document(str(about))
    said = predicted(name, "test")
    told = [target for target in targets.TARGETS if f"{target}_predicted" in said and target in said]
    if not told:
        return
    left, right = st.columns(2)
    target = left.segmented_control("Target", told, default=told[0], required=True)
    order = right.segmented_control("Which", ["Worst", "At random"], default="Worst", required=True)
    said = face_grid.only(said, "worst")
    said = said.assign(wrong=wrongness(said, targets.TARGETS[target])).dropna(subset="wrong")
    said = said[said["wrong"] > 0].nlargest(GRID, "wrong") if order == "Worst" else said.sample(min(GRID, len(said)))
    captions = [line(face, targets.TARGETS[target]) for _, face in said.iterrows()]
    st.caption("True label, then what the model says." if captions else "There is none.")
    face_grid.grid(row["dataset"], row["variant"], said, captions)


def wrongness(said: pd.DataFrame, target: targets.Target) -> pd.Series:
    """How wrong each row of predictions.csv is, NaN where unlabelled: years off, or 1 less the true class's share.

    0 where a class is right.
    """
    true, told = said[target.name], said[f"{target.name}_predicted"]
    if target.kind == "years":
        return (told - true).abs()
    shares = [said[f"{target.name}_p_{name}"] for name in target.classes]
    wrong = 1 - np.select([true == name for name in target.classes], shares, np.nan)
    return pd.Series(np.where(true == told, 0, wrong), said.index).where(true != "")


def line(face: pd.Series, target: targets.Target) -> str:
    """A face's true label and what was said of it."""
    true, told = face[target.name], face[f"{target.name}_predicted"]
    return f"{true:.0f} → {told:.0f}" if target.kind == "years" else f"{true} → {told}"


def mlflow() -> None:
    """Registered versions and runs, as MLflow's store has them."""
    from faces.tracking import model_choice

    st.markdown(
        f"`make ui` in a shell starts the MLflow UI, which this machine then shows: [runs]({UI}/#/experiments), "
        f"[models]({UI}/#/models)."
    )
    if not model_choice.has_store():
        st.info(
            "MLflow's store is empty: `make repro` in a shell trains models, logs and registers them. Until a real "
            "champion is registered, predictions are the shipped model's (`pretrained/`)."
        )
        return
    versions, runs = stored()
    if not len(runs):
        st.info("MLflow's store has no runs.")
        return
    st.subheader("Registered versions")
    st.dataframe(
        versions, hide_index=True, column_config={"link": st.column_config.LinkColumn("in the UI", display_text="open")}
    )
    st.subheader("Runs")
    experiments = sorted(runs["experiment"].unique())
    chosen = st.segmented_control("Experiment", experiments, selection_mode="multi", default=experiments)
    st.dataframe(
        runs[runs["experiment"].isin(chosen)].dropna(axis=1, how="all"),
        hide_index=True,
        column_config={"link": st.column_config.LinkColumn("in the UI", display_text="open")},
    )


@st.cache_data(ttl=resources.FRESH, show_spinner="Reading MLflow's store ...")
def stored() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of versions and runs, with links to the UI."""
    from faces.tracking import registry, runs, store

    client = store.open_client()
    versions = [
        {
            "model": each.name,
            "version": int(each.version),
            "alias": ", ".join(each.aliases),
            "row of params.yaml": each.tags.get("model", ""),
            each.tags.get("score", "score") + " on validation": float(each.tags.get("val", "nan")),
            **{f"test {key}": float(each.tags[f"test_{key}"]) for key in metrics_shown() if f"test_{key}" in each.tags},
            "link": f"{UI}/#/models/{each.name}/versions/{each.version}",
        }
        for each in registry.versions(client)
    ]
    rows = runs.newest(client)
    if not len(rows):
        return pd.DataFrame(versions), rows
    rows["link"] = [f"{UI}/#/experiments/{row.experiment_id}/runs/{row.run_id}" for row in rows.itertuples()]
    return pd.DataFrame(versions), rows.drop(columns=["experiment_id", "run_id"])


def metrics_shown() -> list[str]:
    """Headline scores, named as in metrics.json."""
    return [f"{name}_{score}" for name, target in targets.TARGETS.items() for score in scores.HEADLINES[target.kind]]
