"""Split the faces of a dataset by group: data/clean/D/faces.csv -> data/splits/D.csv."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import scipy.stats

from stages.lib import params, progress, records, running, targets

PARTS = ("train", "val", "calibration", "test")


def main(dataset: str) -> None:
    """Give every group a part; report the balance of the parts, and the faces that stand where their group stands."""
    p = params.load().split
    faces = records.read(f"data/clean/{dataset}/faces.csv")
    faces = faces.assign(part=assign_parts(faces["group"], p.val, p.test, p.calibration, p.seed))
    records.write(faces[["face_id", "group", "part", *targets.TARGETS]], f"data/splits/{dataset}.csv")
    alone = assign_parts(faces["face_id"], p.val, p.test, p.calibration, p.seed)
    report = {
        "faces": {part: int((faces["part"] == part).sum()) for part in PARTS},
        "balance": balance(faces),
        "moved_with_their_group": faces["face_id"][alone != faces["part"]].tolist(),
    }
    Path(f"data/splits/{dataset}-balance.json").write_text(json.dumps(report, indent=1) + "\n")
    progress.say(f"{dataset}: {report['faces']}")
    for row in report["balance"]:
        if row["p"] < 0.001:
            progress.say(f"{dataset}: the parts differ in {row['by']} by more than chance (p = {row['p']:.2g})")


def assign_parts(groups: pd.Series, val: float, test: float, calibration: float, seed: int) -> pd.Series:
    """Part (n,) of each face from the id of its group: test, val and calibration are shares of all, train the rest.

    A group's part depends on its id and the seed alone, so new faces leave the others where they are.
    """
    place = {group: place_of(group, seed) for group in groups.unique()}
    at = groups.map(place)
    return pd.Series(
        ["test" if u < test else "val" if u < test + val else "calibration" if u < test + val + calibration else "train"
         for u in at], index=groups.index)  # fmt: skip


def place_of(group: str, seed: int) -> float:
    """A number in [0, 1), even over groups, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:7]) / 2**56


def balance(faces: pd.DataFrame) -> list[dict]:
    """Faces by part for each age bin and class, with the p of a chi-square test that parts and labels are unrelated."""
    found = []
    for name, target in targets.TARGETS.items():
        if target.kind == "years":
            label = pd.Series(targets.age_bin(faces[name]), index=faces.index)
            label = label.map(dict(enumerate(targets.AGE_BINS)))
        else:
            label = faces[name].replace("", None)
        table = pd.crosstab(label, faces["part"])
        if table.size == 0 or min(table.shape) < 2:
            continue
        p = scipy.stats.chi2_contingency(table).pvalue
        found.append({"by": name, "p": float(p), "counts": {str(k): v for k, v in table.T.to_dict().items()}})
    return found


if __name__ == "__main__":
    running.stage(main)
