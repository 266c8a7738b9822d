"""Cards of models and datasets, in the form that Hugging Face reads; every number comes from the pipeline's files."""

import pandas as pd
from huggingface_hub import DatasetCardData, EvalResult, ModelCardData

from faces import scores, targets

INTENDED = (
    "Research and teaching: how face models are trained, measured and compared, and for whom they fail. Estimates "
    "over many faces, read with the intervals and the groups below."
)
UNFIT = (
    "Decisions about single people, of any kind: access, hiring, policing, credit, care, age checks by law. Telling "
    "who somebody is. Telling what somebody's sex, gender or ethnicity is: the labels are what others perceived, in a "
    "few classes that do not hold everybody, and so is what the model says. Faces from pictures that are framed, lit "
    "or taken otherwise than those that it learnt from."
)


def model_data(
    name: str, about: dict, dataset: str, split: str, numbers: dict[str, float], licence: str
) -> ModelCardData:
    """Front matter of a model's card: what it is, and its scores on test as a model-index.

    name: its row of params.yaml; about: model.json; dataset: how the dataset is called with its source kind; split: its
    digest; numbers: {score: value} on test; licence: of the pictures that it learnt from.
    """
    results = []
    for target in about["targets"]:
        kind = targets.TARGETS[target].kind
        task = "image-regression" if kind == "years" else "image-classification"
        for score in (row.name for row in scores.listed("card", kind)):
            value = numbers.get(f"{target}_{score}")
            if value is None:
                continue
            results.append(
                EvalResult(
                    task_type=task, task_name=f"{target} from a face", dataset_type=about["dataset"],
                    dataset_name=dataset, dataset_split="test", dataset_revision=split[:16], metric_type=score,
                    metric_name=f"{target} {score}", metric_value=value,
                )
            )  # fmt: skip
    return ModelCardData(
        model_name=name,
        license="other",
        license_name=licence_name(licence),
        library_name="keras",
        pipeline_tag="image-classification",
        tags=tags(about["targets"]),
        datasets=[about["dataset"]],
        metrics=sorted({result.metric_type for result in results}),
        eval_results=results,
    )


def dataset_data(name: str, faces: int, wanted: list[str], licence: str) -> DatasetCardData:
    """Front matter of a dataset's card; wanted: the targets that it has labels of."""
    size = (
        "n<1K" if faces < 1000 else "1K<n<10K" if faces < 10_000 else "10K<n<100K" if faces < 100_000 else "100K<n<1M"
    )
    return DatasetCardData(
        pretty_name=name, license="other", license_name=licence_name(licence),
        task_categories=["image-classification"], size_categories=[size], tags=tags(wanted),
    )  # fmt: skip


def licence_name(licence: str) -> str:
    """A licence in a word, as front matter takes it."""
    return "research-only" if "research" in licence else "drawn" if licence.startswith("drawn") else "own-pictures"


def tags(wanted: list[str]) -> list[str]:
    """Words that a card is found by."""
    return ["face", *(["age-estimation"] if "age" in wanted else []), "onnx", *wanted]


def page(data: ModelCardData | DatasetCardData, lines: list[str]) -> str:
    """A card: front matter, then its lines."""
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(lines).rstrip() + "\n"


def interval(row: dict | pd.Series, digits: int = 3) -> str:
    """`0.821 [0.759, 0.883]`, or that n is too small."""
    if row["value"] != row["value"]:
        return "n too small"
    return f"{row['value']:.{digits}f} [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"


def score_rows(table: pd.DataFrame) -> str:
    """Headline scores on test; rows of scores.csv."""
    rows = scores.select(table[(table["part"] == "test") & (table["group"] == "")], "metrics")
    shown = [
        {"target": row["target"], "score": row["score"], "faces": int(row["n"]),
         "value [interval]": interval(row, scores.digits(row["score"]))}
        for row in rows.to_dict("records")
    ]  # fmt: skip
    return markdown(shown)


def groups(table: pd.DataFrame, by: str) -> str:
    """One column a score, one row a group; rows of groups.csv of one axis."""
    rows = table[table["by"].isin(("", by))].replace({"score": {"recall": "accuracy"}})
    found: dict[str, dict] = {}
    for row in rows.to_dict("records"):
        cell = found.setdefault(row["group"], {"group": row["group"], "faces": 0})
        cell["faces"] = max(cell["faces"], int(row["n"]))
        if f"{row['target']}_{row['score']}" in scores.keys("groups"):
            cell[f"{row['target']} {row['score']}"] = interval(row, scores.digits(row["score"]))
    return markdown(list(found.values()))


def gaps(table: pd.DataFrame) -> str:
    """Rows of gaps.csv."""
    shown = [
        {
            "score": f"{row['target']} {row['score']}", "between": row["by"], "ages": row["ages"],
            "worst": f"{row['worst']} (n {int(row['n_worst'])})", "best": f"{row['best']} (n {int(row['n_best'])})",
            "gap [interval]": interval({**row, "value": row["gap"]}, scores.digits(row["score"])),
        }
        for row in table.to_dict("records")
    ]  # fmt: skip
    return markdown(shown)


def worst(found: dict) -> list[str]:
    """A line for the worst group of each target; summary.json of assess."""
    if not found["worst"]:
        return ["- there is no group of that size"]
    return [
        f"- {name}: {row['group']}, {scores.find(row['score']).title} "
        f"{interval(row, scores.digits(row['score']))}, n {row['n']}"
        for name, row in found["worst"].items()
    ]


def resampled(groups: pd.Series) -> str:
    """What a bootstrap draws, in words: people, or faces where no two are known to be of one person."""
    return "people" if groups.duplicated().any() else "faces, no two of which are known to be of one person"


def without(probe: dict) -> str:
    """What the scores are without the test faces that leaked, as a sentence; summary.json of probe."""
    if not probe["leaked"]:
        return ""
    rest = ", ".join(
        f"{key.replace('_', ' ')} {value:.{scores.digits(key)}f} "
        f"(with them {probe['scores'][key]:.{scores.digits(key)}f})"
        for key, value in probe["scores_without_leaked"].items()
    )
    return f"Without them: {rest}."


def calibration(found: dict) -> list[str]:
    """Lines on intervals and probabilities; summary.json of assess."""
    lines = []
    for name, target in targets.TARGETS.items():
        if target.kind == "years" and f"{name}_coverage" in found:
            coverage, width = found[f"{name}_coverage"], found[f"{name}_width"]
            lines += [
                f"- {name}: the stated {found['interval_confidence']:.0%} interval holds the label of {coverage:.1%} "
                f"of test faces; it is {width:.1f} years wide in the mean"
            ]
        elif f"{name}_calibration_error" in found:
            error = found[f"{name}_calibration_error"]
            lines += [f"- {name}: expected calibration error {error:.3f} (10 bins)"]
    return lines


def markdown(rows: list[dict]) -> str:
    """A Markdown table; text as it is."""
    return pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True) if rows else "None.\n"
