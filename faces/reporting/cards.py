"""Front matter of the cards of models and datasets, in the form of Hugging Face, and texts that both have."""

from huggingface_hub import DatasetCardData, EvalResult, ModelCardData

from faces import scores, targets

INTENDED = (
    "Research and teaching: how face models are trained, measured and compared, and for whom they fail. Estimates "
    "over many faces, read with the intervals and the subgroups below."
)
OUT_OF_SCOPE = (
    "Decisions about single people of any kind: access, hiring, policing, credit, care, legal age checks. "
    "Identification. "
    "Statements about somebody's sex, gender or ethnicity: labels and predictions are what others perceive, in a few "
    "classes that do not fit everybody. Images that are framed, lit or taken in other ways than the training images."
)


def model_data(
    name: str, about: dict, dataset: str, split: str, numbers: dict[str, float], licence: str
) -> ModelCardData:
    """Front matter of a model's card, with its scores on test as a model-index.

    name: its row of params.yaml; about: model.json; dataset: name of the dataset with its kind of source; split: its
    digest; numbers: {TARGET_SCORE: value} on test; licence: of the pictures that it was trained on.
    """
    results = []
    for target in about["targets"]:
        kind = targets.TARGETS[target].kind
        for score in (row.name for row in scores.listed("card", kind) if f"{target}_{row.name}" in numbers):
            results.append(
                EvalResult(
                    task_type="image-regression" if kind == "years" else "image-classification",
                    task_name=f"{target} from a face", dataset_type=about["dataset"], dataset_name=dataset,
                    dataset_split="test", dataset_revision=split[:16], metric_type=score,
                    metric_name=f"{target} {score}", metric_value=numbers[f"{target}_{score}"],
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


def dataset_data(name: str, faces: int, labelled: list[str], licence: str) -> DatasetCardData:
    """Front matter of a dataset's card. faces: how many; labelled: the targets that it has labels of."""
    size = (
        "n<1K" if faces < 1000 else "1K<n<10K" if faces < 10_000 else "10K<n<100K" if faces < 100_000 else "100K<n<1M"
    )
    return DatasetCardData(
        pretty_name=name, license="other", license_name=licence_name(licence),
        task_categories=["image-classification"], size_categories=[size], tags=tags(labelled),
    )  # fmt: skip


def licence_name(licence: str) -> str:
    """Short name of a licence."""
    return (
        "research-only" if "research" in licence else "synthetic" if licence.startswith("synthetic") else "own-pictures"
    )


def tags(names: list[str]) -> list[str]:
    """Tags of a card, by the names of its targets."""
    return ["face", *(["age-estimation"] if "age" in names else []), "onnx", *names]


def page(data: ModelCardData | DatasetCardData, lines: list[str]) -> str:
    """A card: front matter, then lines of Markdown."""
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(lines).rstrip() + "\n"
