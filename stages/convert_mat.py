"""Turn the .mat of WIKI or IMDB into records: data/raw/D/cropped/ -> data/records/, data/boxes/D.csv."""

from pathlib import Path

import numpy as np
import pandas as pd

from faces import params
from faces.data import archives, records
from faces.data.datasets import imdb_wiki
from faces.runtime import progress, running


def main(dataset: str) -> None:
    """Read and convert the rows, and say which are unusable and why."""
    p = params.load().convert_mat
    mat = imdb_wiki.read_mat(archives.list_archives(Path("data/raw", dataset, "cropped"))[0], dataset)
    rows = imdb_wiki.records(mat)
    reasons, funnel = imdb_wiki.reject_reasons(rows, p.min_age, p.max_age, p.min_face_score, p.max_second_face_score)
    faces = records.frame(rows.assign(reject=reasons))
    records.write(faces, f"data/records/{dataset}.csv")
    records.write(records.boxes(faces[~np.isneginf(faces["face_score"])]), f"data/boxes/{dataset}.csv")
    records.write(pd.DataFrame(funnel), f"data/records/{dataset}-funnel.csv")
    progress.say(f"{dataset}: {funnel[-1]['left']} of {len(rows)} rows are usable")


if __name__ == "__main__":
    running.stage(main)
