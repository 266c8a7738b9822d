"""WIKI of IMDB-WIKI: its labels are in wiki.mat, inside the archive of crops."""

from faces.data.datasets import Archive
from faces.data.datasets.imdb_wiki import FRAMING, HOME, LABELS, LICENCE, URL, crops, face_id

__all__ = ["ARCHIVES", "FRAMING", "HOME", "LABELS", "LICENCE", "face_id"]

ARCHIVES = {
    "cropped": crops("wiki_crop", md5="f536eb7f5eae229ae8f286184364b42b", about=800_000_000),
    "full": (Archive("wiki.tar.gz", (URL + "wiki.tar.gz",), about=3_000_000_000),),
}
