"""IMDB of IMDB-WIKI: labels stand in imdb.mat, inside the archive of crops."""

from stages.lib.datasets import Archive
from stages.lib.datasets.imdb_wiki import HOME, LICENCE, URL, face_id

__all__ = ["ARCHIVES", "HOME", "LICENCE", "face_id"]

ARCHIVES = {
    "cropped": (Archive("imdb_crop.tar", (URL + "imdb_crop.tar",), md5="44b7548f288c14397cb7a7bab35ebe14"),),
    "full": tuple(Archive(f"imdb_{k}.tar", (URL + f"imdb_{k}.tar",)) for k in range(10)),
}
