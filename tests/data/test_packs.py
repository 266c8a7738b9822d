"""Pictures are read from packs of any size, byte for byte, without copying the rest."""

import json
import pickle

import numpy as np
import pyarrow as pa
import pytest

from faces.data import packs


def write(folder, pictures, shard_faces, times=1):
    """A pack of encoded pictures f0, f1 and on, whose manifest lists its shards so many times over."""
    about = {"width": 1, "height": 1, "brightness": 0.0, "phash": 0, "sha256": ""}
    shards = packs.write(
        ({"face_id": f"f{i}", "image": p} | about for i, p in enumerate(pictures)), folder, shard_faces
    )
    (folder / packs.MANIFEST).write_text(json.dumps({"shards": shards * times}))
    return packs.Pack(folder)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return [rng.bytes(rng.integers(1, 50)) for _ in range(1500)]


@pytest.fixture(scope="module")
def pack(tmp_path_factory, pictures):
    """Three shards of 600, 600 and 300 pictures, in record batches of 256, 256, 88; 256, 256, 88; 256, 44."""
    return write(tmp_path_factory.mktemp("pack"), pictures, 600)


@pytest.mark.parametrize("pickled", [False, True])
def test_pictures_are_those_of_their_rows(pack, pictures, pickled):
    found = pickle.loads(pickle.dumps(pack)) if pickled else pack
    assert found.table["image"].num_chunks == 8
    assert found.images(np.arange(1500)) == pictures
    rows = np.random.default_rng(1).integers(0, 1500, 200)
    assert found.images(rows) == [pictures[row] for row in rows]
    assert found.images(rows) == found.table["image"].take(pa.array(rows)).to_pylist()
    edges = [255, 256, 599, 600, 1499, 0, 0, 1199, 1200]
    assert found.images(edges) == [pictures[row] for row in edges]
    assert found.images(np.array([], np.int64)) == found.images([]) == []


def test_rows_and_columns_follow_the_shards(pack):
    assert pack.rows(["f1499", "f0", "none", "f600"]).tolist() == [1499, 0, -1, 600]
    assert pack.column("width").shape == (1500,)


@pytest.mark.parametrize("row", [-1, 1500])
def test_a_row_that_the_pack_lacks_is_named(pack, row):
    with pytest.raises(IndexError, match=f"row {row} is not one of the pack's 1500"):
        pack.images([3, row])


def test_a_pack_of_no_pictures_is_read(tmp_path):
    assert write(tmp_path, [], 10).images([]) == []


def test_a_pack_above_2_gib_is_read_without_a_copy(tmp_path):
    """One shard of 32 MiB, listed 66 times."""
    pictures = [bytes([i]) * 2**19 for i in range(64)]
    pack = write(tmp_path, pictures, 100, times=66)
    assert pack.table["image"].nbytes > 2**31
    rows = np.array([0, 63, 64 * 65 + 63, 64 * 65 + 1, 2000])
    pool, before = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        assert pack.images(rows) == [pictures[row % 64] for row in rows]
    finally:
        pa.set_memory_pool(before)
    assert pool.max_memory() < 2**19  # less than one picture takes, let alone the pack
