"""Look for leaks with the model's own eye, and test it on the other datasets: data/calibrated/M/ -> reports/probes/M/.

A face of test whose photo also stands in another part is a leak. The hash and the embedding propose faces, and fine
detail decides, by which `clean` compared all pictures; of what it let pass, the most alike are listed.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from faces import params, scores, targets
from faces.data import duplicates, labelled_faces, packs, records
from faces.evaluation import bootstrap, metrics, neighbours, predictions
from faces.inference.predictor import EMBEDDING, Predictor
from faces.runtime import progress, running

NEAREST = 5  # by embedding, of which the pixels decide
LISTED = 50  # pairs in neighbours.csv, besides those of one photo
SCORES = {"years": ("mae", "rmse", "bias", "within_5"), "classes": ("accuracy", "balanced_accuracy")}


def main(name: str) -> None:
    """Write transfer.csv and summary.json, and data/probes/M/neighbours.csv."""
    p = params.load()
    row = p.models[name]
    pack, split = labelled_faces.open_pack(row)
    predictor = Predictor(f"data/calibrated/{name}/model.onnx")
    out = Path("reports/probes") / name
    out.mkdir(parents=True, exist_ok=True)
    chips = packs.Pack(f"data/packs/{row.dataset}/cropped")
    test, others = (look(predictor, split, pack, chips, name, what) for what in ("test", "rest"))
    pairs = leaks(test, others, p.clean.same_photo)
    columns = ["face_id", "other", "part", "by", "cosine", "hash_bits", "correlation", "same_photo"]
    ranked = pairs.sort_values(["correlation", "cosine"], ascending=False, kind="stable")
    listed = ranked[ranked["same_photo"] | (np.arange(len(ranked)) < LISTED)]
    said = predictions.read(name)
    alone = said[~said["face_id"].isin(pairs.loc[pairs["same_photo"], "face_id"])]
    records.write(listed[columns], Path("data/probes") / name / "neighbours.csv")
    transfers = [transfer(predictor, row, other, p) for other in p.datasets if other != row.dataset]
    moved = pd.concat([pd.DataFrame(columns=["dataset", "target", "score", "n", "value", "low", "high"]), *transfers])
    records.write(scores.table(moved), out / "transfer.csv")
    found = {
        "test_faces": len(test["ids"]),
        "other_faces": len(others["ids"]),
        "closest": scores.number(pairs.loc[~pairs["same_photo"], "correlation"].max(), "correlation"),
        "leaked": int(pairs.loc[pairs["same_photo"], "face_id"].nunique()),
        "leaked_by_hash": int(pairs.loc[pairs["same_photo"] & (pairs["by"] == "hash"), "face_id"].nunique()),
        "leaked_by_embedding": int(pairs.loc[pairs["same_photo"] & (pairs["by"] == "embedding"), "face_id"].nunique()),
        "looked_for_by": ["hash", *(["embedding"] if test["embedding"] is not None else [])],
        "scores": headlines(said, row.targets),
        "scores_without_leaked": headlines(alone, row.targets),
    }
    (out / "summary.json").write_text(json.dumps(found, indent=1) + "\n")
    progress.say(f"{name}: {found['leaked']} of {found['test_faces']} test faces have a copy in another part")


def look(predictor: Predictor, split: pd.DataFrame, pack: packs.Pack, chips: packs.Pack, name: str, what: str) -> dict:
    """Ids, parts, hashes, small grey pictures and embeddings (None if the model has none) of test, or of the rest.

    pack: the pictures that the model takes; chips: the faces alone, by which two photos are told to be one.
    """
    parts = ["test"] if what == "test" else ["train", "val", "calibration"]
    rows = split[split["part"].isin(parts)].assign(part=what)
    found, ids = labelled_faces.of(rows, pack, what, [])
    images = labelled_faces.pixels(found, *predictor.view)
    embeddings = []
    if predictor.embeds:
        for batch in progress.bar(images, f"{name}: looking at {what}", unit="batches"):
            embeddings.append(predictor.outputs(batch, [EMBEDDING])[EMBEDDING])
    at = chips.rows(ids)
    return {
        "ids": ids,
        "part": split.set_index("face_id")["part"].reindex(ids).to_numpy(),
        "hash": chips.column("phash")[at].astype(np.uint64),
        "grey": duplicates.thumbnails(chips, at),
        "embedding": np.concatenate(embeddings) if embeddings else None,
    }


def leaks(test: dict, others: dict, least: float) -> pd.DataFrame:
    """Pairs of a test face and one of another part that are alike by hash or embedding, as `look` gives them.

    Columns: face_id, other, part (of the other), by (hash, embedding), cosine (of embeddings, NaN without), hash_bits
    (that differ, of 63), correlation (of fine detail) and same_photo, where that is
    `least` or more. Each test face with the nearest by hash, and the NEAREST by embedding.
    """
    if not len(test["ids"]) or not len(others["ids"]):
        columns = ["face_id", "other", "part", "by", "cosine", "hash_bits", "correlation"]
        return pd.DataFrame(columns=columns).assign(same_photo=pd.Series(dtype=bool))
    ours = np.arange(len(test["ids"]))
    index, _ = neighbours.nearest_hash(test["hash"], others["hash"])
    proposed = [(ours, index, np.full(len(ours), np.nan), "hash")]
    if test["embedding"] is not None and others["embedding"] is not None:
        near, cosine = neighbours.nearest_embedding(test["embedding"], others["embedding"], NEAREST)
        proposed.append((np.repeat(ours, near.shape[1]), near.ravel(), cosine.ravel(), "embedding"))
    ours_fine, others_fine = duplicates.details(test["grey"]), duplicates.details(others["grey"])
    tables = []
    for at, other, cosine, by in proposed:
        correlation = duplicates.correlation(ours_fine[at], others_fine[other])
        tables.append(
            pd.DataFrame(
                {
                    "face_id": test["ids"][at],
                    "other": others["ids"][other],
                    "part": others["part"][other],
                    "by": by,
                    "cosine": cosine,
                    "hash_bits": np.bitwise_count(test["hash"][at] ^ others["hash"][other]),
                    "correlation": correlation,
                    "same_photo": correlation >= least,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def headlines(said: pd.DataFrame, wanted: list[str]) -> dict[str, float]:
    """Headline scores {TARGET_SCORE: value} of rows of predictions.csv; those without labels left out."""
    found = {}
    for name in (name for name in wanted if name in said):
        target = targets.TARGETS[name]
        score = metrics.HEADLINE[target.kind]
        value = float(metrics.scores(target, predictions.statistics(said, target).sum(axis=0))[score])
        if value == value:
            found[f"{name}_{score}"] = scores.number(value, score)
    return found


def transfer(predictor: Predictor, row: params.Model, dataset: str, p: params.Params) -> pd.DataFrame:
    """Scores of a model on the test faces of another dataset, less those whose photo it has seen: rows of transfer.csv.

    Empty where that dataset has no such variant, or none of the model's labels.
    """
    if f"{dataset}-{row.variant}" not in p.variants:
        return pd.DataFrame()
    pack, split = labelled_faces.open_pack(row.model_copy(update={"dataset": dataset}))
    test = split[(split["part"] == "test") & (pack.rows(split["face_id"]) >= 0)]
    _, own = labelled_faces.open_pack(row)
    learnt = own.loc[own["part"] != "test", "face_id"]
    grey = [
        duplicates.thumbnails(chips, chips.rows(ids))
        for chips, ids in (
            (packs.Pack(f"data/packs/{dataset}/cropped"), test["face_id"]),
            (packs.Pack(f"data/packs/{row.dataset}/cropped"), learnt),
        )
    ]
    pairs = duplicates.near_pairs(np.concatenate(grey), p.clean.same_photo)
    group = duplicates.groups(len(test) + len(learnt), pairs)
    fresh = ~np.isin(group[: len(test)], group[len(test) :])
    found, ids = labelled_faces.of(test[fresh], pack, "test", row.targets)
    if not len(found):
        return pd.DataFrame()
    images = labelled_faces.pixels(found, *predictor.view)
    decoded = predictor.stream(progress.bar(images, f"{predictor.about['name']} on {dataset}", unit="batches"))
    people = split.set_index("face_id").loc[ids, "group"].to_numpy()
    rows = []
    for name, (values, known) in found.labels.items():
        n, target = int(known.sum()), targets.TARGETS[name]
        if n < p.evaluate.min_n:
            continue
        table = metrics.statistics(target, values, known, decoded)
        drawn = bootstrap.sums(bootstrap.gather(table, people), p.evaluate.resamples, p.evaluate.seed)
        limits = metrics.intervals(target, drawn, p.evaluate.confidence)
        for score, value in metrics.scores(target, table.sum(axis=0)).items():
            if score in SCORES[target.kind]:
                rows.append((dataset, name, score, n, float(value), *limits[score]))
    return pd.DataFrame(rows, columns=["dataset", "target", "score", "n", "value", "low", "high"])


if __name__ == "__main__":
    running.stage(main)
