"""Front matter of the cards of models and datasets, in the form of Hugging Face, and texts that both have."""

from huggingface_hub import DatasetCardData, EvalResult, ModelCardData

from faces import scores, targets

INTENDED = (
    "Research and teaching: how face models are trained, measured and compared, and on which groups of people they "
    "fail. Estimates over many faces, read with their intervals and with the scores of subgroups."
)
OUT_OF_SCOPE = (
    "Decisions of any kind about single people: access, hiring, policing, credit, care, legal age checks. "
    "Identification of people. Statements about a person's sex, gender or ethnicity: labels and predictions are what "
    "others perceive, in a few classes that do not fit everybody. Images that are framed, lit or taken in other ways "
    "than the training images."
)
# As Hugging Face names the sizes of datasets, with the number of rows below which each is.
SIZES = {"n<1K": 1e3, "1K<n<10K": 1e4, "10K<n<100K": 1e5, "100K<n<1M": 1e6, "1M<n<10M": 1e7}


def model_data(
    name: str, about: dict, dataset: str, split: str, numbers: dict[str, float], licence: str
) -> ModelCardData:
    """Front matter of a model's card, with its scores on test as a model-index.

    name: its row of params.yaml; about: model.json; dataset: name of the dataset with its kind of source; split: its
    digest; numbers: {TARGET_SCORE: value} on test; licence: of the images that it was trained on.
    """
    results = [
        EvalResult(
            task_type="image-regression" if targets.TARGETS[target].kind == "years" else "image-classification",
            task_name=f"{target} from a face",
            dataset_type=about["dataset"],
            dataset_name=dataset,
            dataset_split="test",
            dataset_revision=split[:16],
            metric_type=score.name,
            metric_name=f"{target} {score.name}",
            metric_value=numbers[f"{target}_{score.name}"],
        )
        for target in about["targets"]
        for score in scores.listed("card", targets.TARGETS[target].kind)
        if f"{target}_{score.name}" in numbers
    ]
    return ModelCardData(
        model_name=name,
        license="other",
        license_name=licence_name(licence),
        library_name="keras",
        pipeline_tag="image-classification",
        tags=tags(about["targets"]),
        datasets=list(dict.fromkeys(model["dataset"] for model in [about, *ancestors(about)])),
        base_model=about["start"]["name"] if about.get("start") else None,
        metrics=sorted({result.metric_type for result in results}),
        eval_results=results,
    )


def ancestors(about: dict) -> list[dict]:
    """What model.json says of the models that a model started from, the nearest first."""
    start = about.get("start")
    return [start, *ancestors(start)] if start else []


def dataset_data(name: str, faces: int, labelled: list[str], licence: str) -> DatasetCardData:
    """Front matter of a dataset's card. faces: how many; labelled: the targets that it has labels of."""
    return DatasetCardData(
        pretty_name=name,
        license="other",
        license_name=licence_name(licence),
        task_categories=["image-classification"],
        size_categories=[next(size for size, end in SIZES.items() if faces < end)],
        tags=tags(labelled),
    )


def licence_name(licence: str) -> str:
    """Short name of a licence."""
    if "research" in licence:
        return "research-only"
    return "synthetic" if licence.startswith("synthetic") else "own-pictures"


def tags(names: list[str]) -> list[str]:
    """Tags of a card, by the names of its targets."""
    return ["face", *(["age-estimation"] if "age" in names else []), "onnx", *names]


def page(data: ModelCardData | DatasetCardData, lines: list[str]) -> str:
    """A card: front matter, then lines of Markdown."""
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(lines).rstrip() + "\n"
