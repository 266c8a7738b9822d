"""Turn the .mat of WIKI or IMDB into records: data/raw/DATASET/cropped/ -> data/records/DATASET.csv and its funnel."""

import sys
from pathlib import Path

import pandas as pd

from stages.lib import datasets, params, progress, records, running
from stages.lib.archives import ArchiveError
from stages.lib.datasets import imdb_wiki


def main(dataset: str) -> None:
    """Read, convert, say which rows are unusable and why."""
    p = params.load().convert_mat
    archive = datasets.archives(datasets.find(dataset), "cropped")[0]
    try:
        mat = imdb_wiki.read_mat(Path("data/raw", dataset, "cropped", archive.name), dataset)
    except (ArchiveError, ValueError) as error:
        sys.exit(str(error))
    rows = imdb_wiki.records(mat)
    reasons, funnel = imdb_wiki.reject_reasons(rows, p.min_age, p.max_age, p.min_face_score, p.max_second_face_score)
    records.write(records.frame(rows.assign(reject=reasons)), f"data/records/{dataset}.csv")
    records.write(pd.DataFrame(funnel), f"data/records/{dataset}-funnel.csv")
    progress.say(f"{dataset}: {funnel[-1]['left']} of {len(rows)} rows are usable")


if __name__ == "__main__":
    running.stage(main)
