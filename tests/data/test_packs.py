"""Images are read from packs of any size, byte for byte, without copying other rows."""

import json
import pickle

import numpy as np
import pyarrow as pa
import pytest

from faces.data import packs


def write(folder, images, shard_faces, times=1):
    """Write a pack of encoded images f0, f1, ...; its manifest lists the shards `times` times."""
    about = {"width": 1, "height": 1, "brightness": 0.0, "phash": 0, "sha256": ""}
    shards = packs.write(({"face_id": f"f{i}", "image": p} | about for i, p in enumerate(images)), folder, shard_faces)
    (folder / packs.MANIFEST).write_text(json.dumps({"shards": shards * times}))
    return packs.Pack(folder)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [rng.bytes(rng.integers(1, 50)) for _ in range(1500)]


@pytest.fixture(scope="module")
def pack(tmp_path_factory, images):
    """Three shards of 600, 600 and 300 images, in record batches of 256, 256, 88; 256, 256, 88; 256, 44."""
    return write(tmp_path_factory.mktemp("pack"), images, 600)


@pytest.mark.parametrize("pickled", [False, True])
def test_images_are_read_by_row(pack, images, pickled):
    copy = pickle.loads(pickle.dumps(pack)) if pickled else pack
    assert copy.table["image"].num_chunks == 8
    assert copy.images(np.arange(1500)) == images
    rows = np.random.default_rng(1).integers(0, 1500, 200)
    assert copy.images(rows) == [images[row] for row in rows]
    assert copy.images(rows) == copy.table["image"].take(pa.array(rows)).to_pylist()
    edges = [255, 256, 599, 600, 1499, 0, 0, 1199, 1200]
    assert copy.images(edges) == [images[row] for row in edges]
    assert copy.images(np.array([], np.int64)) == copy.images([]) == []


def test_rows_and_columns_follow_the_shards(pack):
    assert pack.rows(["f1499", "f0", "none", "f600"]).tolist() == [1499, 0, -1, 600]
    assert pack.column("width").shape == (1500,)


@pytest.mark.parametrize("row", [-1, 1500])
def test_a_row_outside_the_pack_is_reported(pack, row):
    with pytest.raises(IndexError, match=f"row {row} is not one of the pack's 1500"):
        pack.images([3, row])


def test_an_empty_pack_is_read(tmp_path):
    assert write(tmp_path, [], 10).images([]) == []


def test_a_pack_above_2_gib_is_read_without_a_copy(tmp_path):
    """One shard of 32 MiB, listed 66 times."""
    images = [bytes([i]) * 2**19 for i in range(64)]
    pack = write(tmp_path, images, 100, times=66)
    assert pack.table["image"].nbytes > 2**31
    rows = np.array([0, 63, 64 * 65 + 63, 64 * 65 + 1, 2000])
    pool, before = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        assert pack.images(rows) == [images[row % 64] for row in rows]
    finally:
        pa.set_memory_pool(before)
    assert pool.max_memory() < 2**19  # less than one image
