"""IMDB of IMDB-WIKI: labels stand in imdb.mat, inside the archive of crops."""

from stages.lib.datasets import Archive
from stages.lib.datasets.imdb_wiki import BY_HAND, HOME, LICENCE, URL, face_id

__all__ = ["ARCHIVES", "HOME", "LICENCE", "face_id"]

ARCHIVES = {
    "cropped": (
        Archive(
            "imdb_crop.tar",
            (URL + "imdb_crop.tar",),
            md5="44b7548f288c14397cb7a7bab35ebe14",
            about=7_000_000_000,
            others=(Archive("imdb_crop.zip"), Archive("imdb_crop")),
            by_hand=BY_HAND.format("imdb_crop"),
        ),
    ),
    "full": tuple(Archive(f"imdb_{k}.tar", (URL + f"imdb_{k}.tar",), about=27_000_000_000) for k in range(10)),
}
