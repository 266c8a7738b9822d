"""Near-copies of photos in other parts and other datasets."""

import numpy as np
import pandas as pd

from faces.audit import neighbours
from faces.data import duplicates, packs

FARTHEST = 10  # largest difference of hashes, in bits, at which test faces near another part are counted
NEAREST = 5  # neighbours by embedding that are compared by pixels
LISTED = 50  # pairs that are listed, besides those of one photo


def near_copies(test: dict, others: dict, least: float) -> pd.DataFrame:
    """Pairs of a test face and a face of another part: the nearest by hash, and the NEAREST by embedding.

    test, others: {ids, part, hash, thumbnails, embedding}, arrays of n rows; embedding may be None.
    Columns: face_id, other, part (of the other), by (hash, embedding), cosine (of embeddings, NaN without), hash_bits
    (that differ, of 63), correlation (of fine detail) and duplicate, where that is `least` or more.
    """
    if not len(test["ids"]) or not len(others["ids"]):
        columns = ["face_id", "other", "part", "by", "cosine", "hash_bits", "correlation"]
        return pd.DataFrame(columns=columns).assign(duplicate=pd.Series(dtype=bool))
    ours = np.arange(len(test["ids"]))
    index, _ = neighbours.nearest_hash(test["hash"], others["hash"])
    proposed = [(ours, index, np.full(len(ours), np.nan), "hash")]
    if test["embedding"] is not None and others["embedding"] is not None:
        near, cosine = neighbours.nearest_embedding(test["embedding"], others["embedding"], NEAREST)
        proposed.append((np.repeat(ours, near.shape[1]), near.ravel(), cosine.ravel(), "embedding"))
    ours_fine, others_fine = duplicates.details(test["thumbnails"]), duplicates.details(others["thumbnails"])
    tables = []
    for at, other, cosine, by in proposed:
        correlation = duplicates.correlation(ours_fine[at], others_fine[other])
        tables.append(
            pd.DataFrame(
                {
                    "face_id": test["ids"][at],
                    "other": others["ids"][other],
                    "part": others["part"][other],
                    "by": by,
                    "cosine": cosine,
                    "hash_bits": np.bitwise_count(test["hash"][at] ^ others["hash"][other]),
                    "correlation": correlation,
                    "duplicate": correlation >= least,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def closest(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs of near_copies that are of one photo, and of the rest the LISTED of highest correlation."""
    ranked = pairs.sort_values(["correlation", "cosine"], ascending=False, kind="stable")
    return ranked[ranked["duplicate"] | (np.arange(len(ranked)) < LISTED)]


def hash_neighbours(split: pd.DataFrame, pack: packs.Pack) -> dict[str, int]:
    """Number of test faces by how many bits, up to FARTHEST, the nearest hash of another part differs from theirs."""
    hashes = pack.column("phash").astype(np.uint64)
    at = pack.rows(split["face_id"])
    test = (split["part"] == "test").to_numpy()
    _, bits = neighbours.nearest_hash(hashes[at[test]], hashes[at[~test]])
    return {str(d): int((bits == d).sum()) for d in range(FARTHEST + 1)}


def has_copy(pack: packs.Pack, ids: pd.Series, other: packs.Pack, other_ids: pd.Series, least: float) -> np.ndarray:
    """Whether the photo of each of ids (n,) in a pack is also that of one of other_ids in another pack, (n,) bool.

    least: correlation of fine detail at which two images count as one photo.
    """
    thumbnails = [duplicates.thumbnails(one, one.rows(names)) for one, names in ((pack, ids), (other, other_ids))]
    group = duplicates.groups(len(ids) + len(other_ids), duplicates.near_pairs(np.concatenate(thumbnails), least))
    return np.isin(group[: len(ids)], group[len(ids) :])


def shared_with(dataset: str, pack: packs.Pack, other: str, least: float) -> pd.DataFrame:
    """Faces of this dataset whose photo is in another one too: face_id, dataset, other, same_bytes.

    least: correlation of fine detail at which two images count as one photo.
    """
    columns = ["face_id", "dataset", "other", "same_bytes"]
    if other == dataset:
        return pd.DataFrame(columns=columns)
    theirs = packs.Pack(f"data/packs/{other}/cropped")
    count = len(pack.face_ids)
    thumbnails = [duplicates.thumbnails(one, np.arange(len(one.face_ids))) for one in (pack, theirs)]
    sha256 = np.concatenate([one.column("sha256") for one in (pack, theirs)])
    near = duplicates.near_pairs(np.concatenate(thumbnails), least)
    group = duplicates.groups(len(sha256), near, duplicates.equal_pairs(sha256))
    ids = np.concatenate([pack.face_ids, theirs.face_ids])
    rows = pd.DataFrame({"face_id": ids, "group": group, "sha256": sha256, "dataset": other})
    ours, others = rows[:count], rows[count:].drop_duplicates("group", keep="last")
    pairs = ours.merge(others.drop(columns="dataset").rename(columns={"face_id": "other"}), on="group")
    return pairs.assign(same_bytes=pairs["sha256_x"] == pairs["sha256_y"])[columns]
