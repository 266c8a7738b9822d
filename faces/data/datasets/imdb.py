"""IMDB of IMDB-WIKI: its labels are in imdb.mat, inside the archive of crops."""

from faces.data.datasets import Archive
from faces.data.datasets.imdb_wiki import FRAMING, HOME, LABELS, LICENCE, URL, crops, face_id

__all__ = ["ARCHIVES", "FRAMING", "HOME", "LABELS", "LICENCE", "face_id"]

ARCHIVES = {
    "cropped": crops("imdb_crop", md5="44b7548f288c14397cb7a7bab35ebe14", about=7_000_000_000),
    "full": tuple(Archive(f"imdb_{k}.tar", (URL + f"imdb_{k}.tar",), about=27_000_000_000) for k in range(10)),
}
