"""WIKI of IMDB-WIKI: labels stand in wiki.mat, inside the archive of crops."""

from stages.lib.datasets import Archive
from stages.lib.datasets.imdb_wiki import BY_HAND, HOME, LICENCE, URL, face_id

__all__ = ["ARCHIVES", "HOME", "LICENCE", "face_id"]

ARCHIVES = {
    "cropped": (
        Archive(
            "wiki_crop.tar",
            (URL + "wiki_crop.tar",),
            md5="f536eb7f5eae229ae8f286184364b42b",
            about=800_000_000,
            others=(Archive("wiki_crop.zip"), Archive("wiki_crop")),
            by_hand=BY_HAND.format("wiki_crop"),
        ),
    ),
    "full": (Archive("wiki.tar.gz", (URL + "wiki.tar.gz",), about=3_000_000_000),),
}
