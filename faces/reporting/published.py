"""Results that are committed: reports/published/NAME/, one folder a model, and tables of several models beside them."""

import hashlib
from pathlib import Path

from faces.data import records

FOLDER = Path("reports/published")
ABOUT = "about.json"  # what a result was made from
RESULTS, FILES, TRIALS = "results.csv", "files.csv", "trials.csv"
ABLATIONS, PEERS, ROBUSTNESS = "levers.csv", "peers.csv", "robustness.csv"  # by commands/experiments
FOLDS = "folds.csv"  # of all models, in FOLDER itself
POOLED = "pooled.csv"  # faces to which no weights may be fitted, by hashes of their ids
OWN_FOLDS = "folds of our own"  # protocol of rows of FOLDS that follow no published split
TEST_FACES = "test faces"  # key of their digest in ABOUT


def digest_test_faces(split: Path) -> str:
    """sha256 of the ids of a split's test faces: splits that differ elsewhere may share them."""
    faces = records.read(split)
    return hashlib.sha256("\n".join(sorted(faces["face_id"][faces["part"] == "test"])).encode()).hexdigest()
