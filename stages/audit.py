"""Audit a dataset: label issues, copies that disagree, leaks across parts, and its models on the other datasets.

data/records, packs, clean, splits, evaluated, calibrated -> data/audits/DATASET/, which names faces, and
reports/audits/DATASET/, which counts them.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from faces import params, scores
from faces.data import duplicates, labelled_faces, packs, records
from faces.evaluation import label_issues, leaks, predictions, score_tables
from faces.inference.predictor import EMBEDDING, Predictor
from faces.runtime import progress, running

LISTED = 200  # most doubtful labels of each target
PAIRS = ["face_id", "other", "part", "by", "cosine", "hash_bits", "correlation", "same_photo"]
CROSS_DATASET = ["dataset", "target", "score", "n", "value", "low", "high"]


def main(dataset: str) -> None:
    """Write a summary and cross_dataset.csv; and label_issues.csv, shared.csv and near_copies.csv, which name faces."""
    p = params.load()
    listed, out = Path("data/audits") / dataset, Path("reports/audits") / dataset
    out.mkdir(parents=True, exist_ok=True)
    split = records.read(f"data/splits/{dataset}.csv")
    pack = packs.Pack(f"data/packs/{dataset}/cropped")
    models = {name: row for name, row in p.models.items() if row.dataset == dataset}
    issues = label_issues.contradicted_labels(
        {name: pd.concat([predictions.read(name, part) for part in ("val", "calibration", "test")]) for name in models}
    )
    records.write(issues.groupby("target", sort=False).head(LISTED), listed / "label_issues.csv")
    shared = pd.concat([leaks.shared_with(dataset, pack, other, p.clean.same_photo) for other in p.datasets])
    records.write(shared, listed / "shared.csv")
    pairs, cross_dataset = [pd.DataFrame(columns=["model", *PAIRS])], [pd.DataFrame(columns=["model", *CROSS_DATASET])]
    summaries = {}
    for name, row in models.items():
        predictor = Predictor(f"data/calibrated/{name}/model.onnx")
        summaries[name], listed_pairs = leaks_of(name, row, predictor, split, pack, p.clean.same_photo)
        pairs.append(listed_pairs[PAIRS].assign(model=name))
        cross_dataset += [
            score_on(predictor, row, other, p).assign(model=name) for other in p.datasets if other != dataset
        ]
    records.write(pd.concat(pairs), listed / "near_copies.csv")
    records.write(scores.table(pd.concat(cross_dataset)), out / "cross_dataset.csv")
    summary = {
        "hash_neighbours": leaks.hash_neighbours(split, pack),
        "copies": label_issues.label_noise(label_issues.with_copies(dataset)),
        "label_issues": {
            name: {"faces": len(rows), "contradicted": int(rows["contradicted"].sum())}
            for name, rows in issues.groupby("target", sort=False)
        },
        "shared": {other: int((shared["dataset"] == other).sum()) for other in p.datasets if other != dataset},
        "models": summaries,
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    counts = [f"{name} {row['contradicted']} of {row['faces']}" for name, row in summary["label_issues"].items()]
    progress.say(f"{dataset}: labels that every model contradicts: {', '.join(counts) or 'no model has predictions'}")


def leaks_of(
    name: str, row: params.Model, predictor: Predictor, split: pd.DataFrame, faces: packs.Pack, correlation: float
) -> tuple[dict, pd.DataFrame]:
    """Test faces of a model whose photo is also in another part: the counts, and the pairs that are worth a look.

    The hash and the embedding propose pairs, and fine detail decides, by which `clean` compared all pictures.
    """
    pack, _ = labelled_faces.open_pack(row)
    test, others = (features(predictor, split, pack, faces, name, part) for part in ("test", "rest"))
    pairs = leaks.near_copies(test, others, correlation)
    same = pairs[pairs["same_photo"]]
    predicted = predictions.read(name)
    summary = {
        "test_faces": len(test["ids"]),
        "other_faces": len(others["ids"]),
        "closest": scores.number(pairs.loc[~pairs["same_photo"], "correlation"].max(), "correlation"),
        "leaked": int(same["face_id"].nunique()),
        **{f"leaked_by_{by}": int(same.loc[same["by"] == by, "face_id"].nunique()) for by in ("hash", "embedding")},
        "looked_for_by": ["hash", *(["embedding"] if test["embedding"] is not None else [])],
        "scores": score_tables.headline_scores(predicted, row.targets),
        "scores_without_leaked": score_tables.headline_scores(
            predicted[~predicted["face_id"].isin(same["face_id"])], row.targets
        ),
    }
    progress.say(f"{name}: {summary['leaked']} of {summary['test_faces']} test faces have a copy in another part")
    return summary, leaks.closest(pairs)


def features(
    predictor: Predictor, split: pd.DataFrame, pack: packs.Pack, faces: packs.Pack, name: str, which: str
) -> dict:
    """What leaks.near_copies compares, of the test part, or of the rest.

    Ids, parts, hashes, thumbnails and embeddings (None if the model has none). pack: the pictures that the
    model takes; faces: the faces alone, by which two photos are compared.
    """
    parts = ["test"] if which == "test" else ["train", "val", "calibration"]
    rows = split[split["part"].isin(parts)].assign(part=which)
    found, ids = labelled_faces.select_part(rows, pack, which, [])
    embeddings = []
    if predictor.has_embedding:
        images = labelled_faces.pixels(found, *predictor.view)
        for batch in progress.bar(images, f"{name}: embeddings of {which}", unit="batches"):
            embeddings.append(predictor.outputs(batch, [EMBEDDING])[EMBEDDING])
    at = faces.rows(ids)
    return {
        "ids": ids,
        "part": split.set_index("face_id")["part"].reindex(ids).to_numpy(),
        "hash": faces.column("phash")[at].astype(np.uint64),
        "thumbnails": duplicates.thumbnails(faces, at),
        "embedding": np.concatenate(embeddings) if embeddings else None,
    }


def score_on(predictor: Predictor, row: params.Model, dataset: str, p: params.Params) -> pd.DataFrame:
    """Scores of a model on the test faces of another dataset, without photos that it was trained on.

    Rows of cross_dataset.csv; none where that dataset has no such variant, or none of the model's labels.
    """
    none = pd.DataFrame(columns=CROSS_DATASET)
    if f"{dataset}-{row.variant}" not in p.variants:
        return none
    pack, split = labelled_faces.open_pack(row.model_copy(update={"dataset": dataset}))
    test = split[(split["part"] == "test") & (pack.rows(split["face_id"]) >= 0)]
    _, own = labelled_faces.open_pack(row)
    learnt = own.loc[own["part"] != "test", "face_id"]
    thumbnails = [
        duplicates.thumbnails(faces, faces.rows(ids))
        for faces, ids in (
            (packs.Pack(f"data/packs/{dataset}/cropped"), test["face_id"]),
            (packs.Pack(f"data/packs/{row.dataset}/cropped"), learnt),
        )
    ]
    pairs = duplicates.near_pairs(np.concatenate(thumbnails), p.clean.same_photo)
    group = duplicates.groups(len(test) + len(learnt), pairs)
    fresh = ~np.isin(group[: len(test)], group[len(test) :])
    found, ids = labelled_faces.select_part(test[fresh], pack, "test", row.targets)
    if not len(found):
        return none
    images = labelled_faces.pixels(found, *predictor.view)
    decoded = predictor.stream(progress.bar(images, f"{predictor.metadata['name']} on {dataset}", unit="batches"))
    people = split.set_index("face_id").loc[ids, "group"].to_numpy()
    _, table = score_tables.part_scores(found.labels, decoded, "test", people, p.evaluate)
    table = scores.select(table[(table["group"] == "") & table["value"].notna()], "cross_dataset")
    return table.assign(dataset=dataset)[CROSS_DATASET]


if __name__ == "__main__":
    running.stage(main)
