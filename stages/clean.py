"""Keep one picture of each face: data/records/D.csv + data/packs/D/cropped/ -> data/clean/D/."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from faces import params, targets
from faces.data import duplicates, packs, records
from faces.runtime import progress, running


def main(dataset: str) -> None:
    """Join labels and pictures, group copies, settle their labels, say what was dropped."""
    p = params.load().clean
    rows = records.read(f"data/records/{dataset}.csv")
    folder = Path("data/packs", dataset, "cropped")
    pack = packs.Pack(folder)
    unread = records.read(folder / "rejects.csv").drop_duplicates("face_id").set_index("face_id")["reject"]
    rejects = reject(rows, pack, unread)
    usable = rows[rejects == ""].reset_index(drop=True)
    at = pack.rows(usable["face_id"])
    progress.say(f"{dataset}: comparing {len(at)} pictures with each other")
    near = duplicates.near_pairs(duplicates.thumbnails(pack, at), p.same_photo)
    faces, copies, conflicts = group(usable, near, pack.column("sha256")[at], p.max_age_spread, p.copies)
    dropped = pd.concat(
        [pd.DataFrame({"face_id": rows["face_id"], "reject": rejects})[rejects != ""], copies[["face_id", "reject"]]]
    ).sort_values("face_id", kind="stable")
    out = Path("data/clean", dataset)
    records.write(faces, out / "faces.csv")
    records.write(dropped, out / "rejects.csv")
    records.write(conflicts, out / "conflicts.csv")
    unlabelled = len(set(pack.face_ids) - set(rows["face_id"]))
    found = summary(rows, faces, dropped, conflicts, unlabelled)
    (out / "summary.json").write_text(json.dumps(found, indent=1) + "\n")
    progress.say(f"{dataset}: {found['kept']} of {found['records']} faces kept")
    if found["rejected"]:
        progress.say(
            f"{dataset}: {len(dropped)} left out, see {out / 'rejects.csv'}: {progress.counts(found['rejected'])}"
        )


def reject(rows: pd.DataFrame, pack: packs.Pack, unread: pd.Series) -> pd.Series:
    """Reason (n,) why a record cannot be used, empty where it can."""
    reasons = rows["reject"].copy()
    missing = (reasons == "") & (pack.rows(rows["face_id"]) < 0)
    found = [unread.get(face) for face in rows["face_id"][missing]]
    reasons[missing] = ["no cropped picture" if reason is None else f"picture {reason}" for reason in found]
    return reasons


def group(
    rows: pd.DataFrame, near: np.ndarray, sha256: np.ndarray, max_age_spread: float, kept: str = "one"
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Keep the first picture of each set of copies; all of them, each with its own labels, where `kept` is "all".

    near: pairs (m, 2) of rows whose pictures are of one photo; sha256: (n,), by which the same file is told.
    Returns faces (records with `copies`, the pictures of that face, and `group`, the smallest id of all that copies
    or identity tie to it), the copies with their reject, and conflicts: one row a label that copies disagree on.
    """
    exact = duplicates.equal_pairs(sha256)
    copy_of = duplicates.groups(len(rows), near, exact)
    tied = duplicates.groups(len(rows), near, exact, duplicates.equal_pairs(rows["identity"].to_numpy(str)))
    ids = rows["face_id"]
    first = ids.groupby(copy_of).transform("min")
    rows = rows.assign(group=ids.groupby(tied).transform("min"), copies=ids.groupby(copy_of).transform("size"))
    again = rows["copies"] > 1
    columns = ["face_id", "target", "labels", "kept"]
    if kept == "all":
        return rows.drop(columns="reject"), rows[:0][["face_id", "reject"]], pd.DataFrame(columns=columns)
    conflicts = pd.DataFrame(settle(rows[again], first[again], max_age_spread), columns=columns)
    faces = rows[ids == first].drop(columns="reject").copy()
    for target, settled in conflicts.groupby("target"):
        kept = settled.set_index("face_id")["kept"].reindex(faces["face_id"])
        changed = faces["face_id"].isin(settled["face_id"])
        faces.loc[changed, target] = kept[changed.to_numpy()].astype(faces[target].dtype).to_numpy()
    copies = rows[ids != first].assign(reject="copy of " + first[ids != first])
    return faces, copies, conflicts


def settle(rows: pd.DataFrame, first: pd.Series, max_age_spread: float):  # noqa: ANN201 - yields dicts
    """Yield what is done about each label that copies disagree on.

    Ages within max_age_spread years of each other give their median; ages further apart, and classes that differ,
    give no label: it is masked in training and evaluation, never guessed.
    """
    for face, copies in rows.groupby(first):
        for name, target in targets.TARGETS.items():
            years = target.kind == "years"
            known = copies[name].dropna() if years else copies[name][copies[name].fillna("") != ""]
            if known.nunique() < 2:
                continue
            close = years and known.max() - known.min() <= max_age_spread
            kept = float(known.median()) if close else (np.nan if years else "")
            yield {"face_id": face, "target": name, "labels": " ".join(str(v) for v in sorted(known)), "kept": kept}


def summary(rows: pd.DataFrame, faces: pd.DataFrame, dropped: pd.DataFrame, conflicts: pd.DataFrame, bare: int) -> dict:
    """Counts that a person reads."""
    reasons = dropped["reject"].replace(
        {r"^copy of .*": "copy of another", r"(cannot be decoded): .*": r"\1"}, regex=True
    )
    masked = conflicts[conflicts["kept"].fillna("").astype(str) == ""]
    return {
        "records": len(rows),
        "kept": len(faces),
        "rejected": {str(k): int(v) for k, v in sorted(reasons.value_counts().items())},
        "faces_with_copies": int((faces["copies"] > 1).sum()),
        "labels_in_conflict": {name: int((conflicts["target"] == name).sum()) for name in targets.TARGETS},
        "labels_masked": {name: int((masked["target"] == name).sum()) for name in targets.TARGETS},
        "groups": int(faces["group"].nunique()),
        "pictures_without_record": bare,
    }


if __name__ == "__main__":
    running.stage(main)
