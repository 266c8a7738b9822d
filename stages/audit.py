"""Audit a dataset: label issues, copies that disagree, leaks across parts, and its models on the other datasets.

data/records, packs, clean, splits, evaluated, calibrated -> data/audits/DATASET/, which names faces, and
reports/audits/DATASET/, which counts them.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from faces import params, scores, targets
from faces.audit import label_issues, leaks
from faces.data import duplicates, labelled_faces, packs, records
from faces.evaluation import dummy_baseline, metrics, predictions, score_tables
from faces.inference.predictor import EMBEDDING, Predictor
from faces.runtime import progress, running

LISTED = 200  # most doubtful labels of each target
PAIRS = ["model", "face_id", "other", "part", "by", "cosine", "hash_bits", "correlation", "duplicate"]
CROSS_DATASET = ["model", "dataset", "target", "score", "n", "value", "low", "high", "dummy_baseline"]


def main(dataset: str) -> None:
    """Write a summary and cross_dataset.csv; and label_issues.csv, shared.csv and near_copies.csv, which name faces."""
    p = params.load()
    listed, out = Path("data/audits") / dataset, Path("reports/audits") / dataset
    split = records.read(f"data/splits/{dataset}.csv")
    pack = packs.Pack(f"data/packs/{dataset}/cropped")
    models = {name: row for name, row in p.models.items() if row.dataset == dataset}
    others = [other for other in p.datasets if other != dataset]
    issues = label_issues.contradicted_labels({name: judged(name) for name in models})
    shared = pd.concat([leaks.shared_with(dataset, pack, other, p.clean.duplicate_correlation) for other in p.datasets])
    pairs, cross_dataset, summaries = [], [], {}
    for name, row in models.items():
        predictor = Predictor(f"data/calibrated/{name}/model.onnx")
        inputs, _ = labelled_faces.open_pack(row)
        test, rest = (features(predictor, split, inputs, pack, name, part) for part in ("test", "rest"))
        near = leaks.near_copies(test, rest, p.clean.duplicate_correlation)
        summaries[name] = leak_summary(test, rest, near, predictions.read(name))
        leaked, count = summaries[name]["leaked"], len(test["ids"])
        progress.say(f"{name}: {leaked} of {count} test faces have a copy in another part")
        pairs.append(leaks.closest(near).assign(model=name))
        cross_dataset += [score_on(predictor, row, other, p).assign(model=name) for other in others]
    records.write(issues.groupby("target", sort=False).head(LISTED), listed / "label_issues.csv")
    records.write(shared, listed / "shared.csv")
    records.write(table(pairs, PAIRS), listed / "near_copies.csv")
    records.write(scores.table(table(cross_dataset, CROSS_DATASET)), out / "cross_dataset.csv")
    counts = {
        name: {"faces": len(rows), "contradicted": int(rows["contradicted"].sum())}
        for name, rows in issues.groupby("target", sort=False)
    }
    summary = {
        "hash_neighbours": leaks.hash_neighbours(split, pack),
        "duplicates": label_issues.label_noise(label_issues.with_copies(dataset)),
        "label_issues": counts,
        "shared": {other: int((shared["dataset"] == other).sum()) for other in others},
        "models": summaries,
    }
    records.write_json(summary, out / "summary.json")
    counted = [f"{name} {row['contradicted']} of {row['faces']}" for name, row in counts.items()]
    progress.say(f"{dataset}: labels that every model contradicts: {', '.join(counted) or 'no model has predictions'}")


def judged(name: str) -> pd.DataFrame:
    """Rows of predictions.csv, without the predictions of targets on which the model is a dummy baseline's equal.

    On its word, no label is doubted.
    """
    rows = pd.concat([predictions.read(name, part) for part in ("val", "calibration", "test")])
    useless = dummy_baseline.useless(records.read_json(f"reports/models/{name}/summary.json"))
    return rows.drop(columns=[f"{target}_predicted" for target in useless])


def table(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Tables one below the other, with these columns; empty where there is none."""
    return pd.concat([pd.DataFrame(columns=columns), *parts])[columns]


def features(
    predictor: Predictor, split: pd.DataFrame, inputs: packs.Pack, crops: packs.Pack, name: str, which: str
) -> dict:
    """What leaks.near_copies compares, of the test part, or of the rest.

    Ids, parts, hashes, thumbnails and embeddings (None if the model has none). inputs: the images that the model
    takes; crops: the cropped faces, by which two photos are compared.
    """
    parts = ["test"] if which == "test" else ["train", "val", "calibration"]
    rows = split[split["part"].isin(parts)].assign(part=which)
    faces, ids = labelled_faces.select_part(rows, inputs, which, [])
    embeddings = []
    if predictor.has_embedding:
        images = labelled_faces.pixels(faces, *predictor.view)
        for batch in progress.bar(images, f"{name}: embeddings of {which}", unit="batches"):
            embeddings.append(predictor.outputs(batch, [EMBEDDING])[EMBEDDING])
    at = crops.rows(ids)
    return {
        "ids": ids,
        "part": split.set_index("face_id")["part"].reindex(ids).to_numpy(),
        "hash": crops.column("phash")[at].astype(np.uint64),
        "thumbnails": duplicates.thumbnails(crops, at),
        "embedding": np.concatenate(embeddings) if embeddings else None,
    }


def leak_summary(test: dict, rest: dict, pairs: pd.DataFrame, predicted: pd.DataFrame) -> dict:
    """Counts of test faces whose photo is also in another part, and a model's headline scores with and without them.

    The hash and the embedding propose pairs, and fine detail decides, by which `clean` compared all images.
    """
    same = pairs[pairs["duplicate"]]
    return {
        "test_faces": len(test["ids"]),
        "other_faces": len(rest["ids"]),
        "closest": scores.number(pairs.loc[~pairs["duplicate"], "correlation"].max(), "correlation"),
        "leaked": int(same["face_id"].nunique()),
        **{f"leaked_by_{by}": int(same.loc[same["by"] == by, "face_id"].nunique()) for by in ("hash", "embedding")},
        "looked_for_by": ["hash", *(["embedding"] if test["embedding"] is not None else [])],
        "scores": headline_scores(predicted),
        "scores_without_leaked": headline_scores(predicted[~predicted["face_id"].isin(same["face_id"])]),
    }


def headline_scores(predicted: pd.DataFrame) -> dict[str, float]:
    """Headline scores {TARGET_SCORE: value}, rounded, of rows of predictions.csv."""
    headlines = {metrics.headline(name) for name in targets.TARGETS}
    values = score_tables.values(predicted)
    return {key: scores.number(value, key) for key, value in values.items() if key in headlines}


def score_on(predictor: Predictor, row: params.Model, dataset: str, p: params.Params) -> pd.DataFrame:
    """Scores of a model on the test faces of another dataset, without photos that it was trained on.

    Rows of cross_dataset.csv; none where that dataset has no such variant, or none of the model's labels.
    """
    if f"{dataset}-{row.variant}" not in p.variants:
        return pd.DataFrame()
    inputs, split = labelled_faces.open_pack(row.model_copy(update={"dataset": dataset}))
    test = split[(split["part"] == "test") & (inputs.rows(split["face_id"]) >= 0)]
    _, own = labelled_faces.open_pack(row)
    seen = own.loc[own["part"] != "test", "face_id"]
    crops = [packs.Pack(f"data/packs/{name}/cropped") for name in (dataset, row.dataset)]
    unseen = ~leaks.has_copy(crops[0], test["face_id"], crops[1], seen, p.clean.duplicate_correlation)
    faces, ids = labelled_faces.select_part(test[unseen], inputs, "test", row.targets)
    if not len(faces):
        return pd.DataFrame()
    images = labelled_faces.pixels(faces, *predictor.view)
    decoded = predictor.stream(progress.bar(images, f"{predictor.metadata['name']} on {dataset}", unit="batches"))
    predicted = predictions.as_rows(split.set_index("face_id").loc[ids], "test", decoded)
    dummy = dummy_baseline.predicted(predicted, predictor.metadata[dummy_baseline.KEY])
    rows = score_tables.part_scores(predicted, dummy, "test", p.evaluate)
    rows = scores.select(rows[(rows["group"] == "") & rows["value"].notna()], "cross_dataset")
    return rows.assign(dataset=dataset)


if __name__ == "__main__":
    running.stage(main)
