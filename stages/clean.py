"""Keep one image of each face: data/records/D.csv + data/packs/D/cropped/ -> data/clean/D/."""

from pathlib import Path

import numpy as np
import pandas as pd

from faces import params, targets
from faces.data import duplicates, packs, records
from faces.images import preprocessing
from faces.runtime import progress, running

COPY = "copy of another"


def main(dataset: str) -> None:
    """Join labels and images, group copies, reconcile their labels, write what was rejected and why."""
    p = params.load().clean
    rows = records.read(f"data/records/{dataset}.csv")
    folder = Path("data/packs", dataset, "cropped")
    pack = packs.Pack(folder)
    unread = records.read(folder / "rejects.csv").drop_duplicates("face_id").set_index("face_id")["reject"]
    rejects = reject(rows, pack, unread)
    usable = rows[rejects == ""].reset_index(drop=True)
    at = pack.rows(usable["face_id"])
    progress.say(f"{dataset}: comparing {len(at)} images with each other")
    thumbs = duplicates.thumbnails(pack, at)
    shown = preprocessing.detail(thumbs) >= preprocessing.MIN_DETAIL
    rejects[rows["face_id"].isin(usable["face_id"][~shown])] = "image has no detail"
    usable, at, thumbs = usable[shown].reset_index(drop=True), at[shown], thumbs[shown]
    near = duplicates.near_pairs(thumbs, p.duplicate_correlation)
    faces, dropped, conflicts = group(usable, near, pack.column("sha256")[at], p.max_age_spread, p.deduplicate)
    dropped = pd.concat(
        [
            pd.DataFrame({"face_id": rows["face_id"], "reject": rejects})[rejects != ""],
            dropped[["face_id", "reject"]],
        ]
    ).sort_values("face_id", kind="stable")
    out = Path("data/clean", dataset)
    records.write(faces, out / "faces.csv")
    records.write(dropped, out / "rejects.csv")
    records.write(conflicts, out / "conflicts.csv")
    unlabelled = len(set(pack.face_ids) - set(rows["face_id"]))
    counts = summary(rows, faces, dropped, conflicts, unlabelled)
    records.write_json(counts, out / "summary.json")
    progress.say(f"{dataset}: {counts['kept']} of {counts['records']} faces kept")
    if counts["rejected"]:
        progress.say(
            f"{dataset}: {len(dropped)} left out, see {out / 'rejects.csv'}: {progress.counts(counts['rejected'])}"
        )


def reject(rows: pd.DataFrame, pack: packs.Pack, unread: pd.Series) -> pd.Series:
    """Reason (n,) why a record cannot be used, '' where it can. unread: reasons of the pack's rejects, by face id."""
    reasons = rows["reject"].copy()
    missing = (reasons == "") & (pack.rows(rows["face_id"]) < 0)
    faces = rows["face_id"][missing]
    reasons[missing] = [f"image {unread[face]}" if face in unread else "no cropped image" for face in faces]
    return reasons


def group(
    rows: pd.DataFrame, near: np.ndarray, sha256: np.ndarray, max_age_difference: float, deduplicate: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Keep the first of each set of copies; all of them, with their own labels, if deduplicate is False.

    near: pairs (m, 2) of rows whose images are of one photo; sha256: (n,) of their files.
    Returns faces (records with `images`, the number of images of the photo, and `group`, the smallest id of all
    faces that copies or identity connect to it), the other copies with their reject, and conflicts: one row for each
    label on which copies disagree.
    """
    exact = duplicates.equal_pairs(sha256)
    copy_of = duplicates.groups(len(rows), near, exact)
    tied = duplicates.groups(len(rows), near, exact, duplicates.equal_pairs(rows["identity"].to_numpy(str)))
    ids = rows["face_id"]
    first = ids.groupby(copy_of).transform("min")
    rows = rows.assign(group=ids.groupby(tied).transform("min"), images=ids.groupby(copy_of).transform("size"))
    again = rows["images"] > 1
    columns = ["face_id", "target", "labels", "kept"]
    if not deduplicate:
        return rows.drop(columns="reject"), rows[:0][["face_id", "reject"]], pd.DataFrame(columns=columns)
    conflicts = pd.DataFrame(reconcile(rows[again], first[again], max_age_difference), columns=columns)
    faces = rows[ids == first].drop(columns="reject").copy()
    known = rows[[*targets.TARGETS]].replace("", np.nan).groupby(first).first().reindex(faces["face_id"])
    for name, target in targets.TARGETS.items():  # a label that only another copy has is kept
        faces[name] = (known[name] if target.kind == "years" else known[name].fillna("")).to_numpy()
    for target, labels in conflicts.groupby("target"):
        kept = labels.set_index("face_id")["kept"].reindex(faces["face_id"])
        changed = faces["face_id"].isin(labels["face_id"])
        faces.loc[changed, target] = kept[changed.to_numpy()].astype(faces[target].dtype).to_numpy()
    dropped = rows[ids != first].assign(reject="copy of " + first[ids != first])
    return faces, dropped, conflicts


def reconcile(rows: pd.DataFrame, first: pd.Series, max_age_difference: float):  # noqa: ANN201 - yields dicts
    """Yield the label that is kept for each label on which copies disagree.

    Ages within max_age_difference years of each other give their median; ages further apart, and classes that differ,
    give no label: it is masked in training and evaluation, never guessed.
    """
    for face, same in rows.groupby(first):
        for name, target in targets.TARGETS.items():
            years = target.kind == "years"
            known = same[name].dropna() if years else same[name][same[name].fillna("") != ""]
            if known.nunique() < 2:
                continue
            close = years and known.max() - known.min() <= max_age_difference
            kept = float(known.median()) if close else (np.nan if years else "")
            yield {"face_id": face, "target": name, "labels": " ".join(str(v) for v in sorted(known)), "kept": kept}


def summary(rows: pd.DataFrame, faces: pd.DataFrame, dropped: pd.DataFrame, conflicts: pd.DataFrame, bare: int) -> dict:
    """Counts of records, faces, rejects and conflicts. bare: images without a record.

    left_out: {reason: n} of what cannot be used, all but copies.
    """
    reasons = dropped["reject"].replace(
        {r"^copy of .*": COPY, r"(?s)(cannot be decoded|\bbox [a-z ]+): .*": r"\1"}, regex=True
    )
    masked = conflicts[conflicts["kept"].fillna("").astype(str) == ""]
    rejected = {str(k): int(v) for k, v in sorted(reasons.value_counts().items())}
    return {
        "records": len(rows),
        "kept": len(faces),
        "rejected": rejected,
        "faces_with_copies": int((faces["images"] > 1).sum()),
        "left_out": {reason: n for reason, n in rejected.items() if reason != COPY},
        "labels_in_conflict": {name: int((conflicts["target"] == name).sum()) for name in targets.TARGETS},
        "labels_masked": {name: int((masked["target"] == name).sum()) for name in targets.TARGETS},
        "groups": int(faces["group"].nunique()),
        "images_without_record": bare,
    }


if __name__ == "__main__":
    running.stage(main)
