"""Read labels from the file names in the archives of a dataset: data/raw/D/ -> data/records/, data/boxes/D.csv."""

from pathlib import Path

import pandas as pd

from faces.data import archives, datasets, records
from faces.runtime import progress, running


def main(dataset: str) -> None:
    """Collect the names of every variant that is there; a face that is in several is one record."""
    paths = [path for folder in sorted(Path("data/raw", dataset).iterdir()) for path in archives.list_archives(folder)]
    names = [name for path in paths for name, _ in progress.bar(archives.members(path), Path(path).name, unit="images")]
    rows = label(names, dataset)
    faces = records.frame(rows)
    records.write(faces, f"data/records/{dataset}.csv")
    records.write(records.boxes(faces), f"data/boxes/{dataset}.csv")
    rejected = (rows["reject"] != "").sum()
    progress.say(f"{dataset}: {len(rows)} faces named, {rejected} of them without usable labels")


def label(names: list[str], dataset: str) -> pd.DataFrame:
    """One row for each face id in names of archive members, with its labels or a reason to reject it."""
    module = datasets.find(dataset)
    faces = sorted({face for face in map(module.face_id, names) if face is not None})
    return pd.DataFrame([{"face_id": face, "reject": "", **module.labels(face)} for face in faces])


if __name__ == "__main__":
    running.stage(main)
