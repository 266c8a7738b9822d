"""Near pairs against the plain search over all pairs."""

import numpy as np
import pytest

from stages.lib import duplicates


@pytest.mark.parametrize("distance", [0, 1, 2, 4])
def test_groups_are_those_of_the_plain_search(distance):
    rng = np.random.default_rng(distance)
    base = rng.integers(0, 2**63, 60, dtype=np.uint64)
    flips = np.bitwise_or.reduce(np.uint64(1) << rng.integers(0, 63, (60, 3)).astype(np.uint64), axis=1)
    hashes = np.concatenate([base, base ^ flips, base[:10]])
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= distance
    wanted = duplicates.groups(len(hashes), np.argwhere(near))
    found = duplicates.groups(len(hashes), duplicates.near_pairs(hashes, distance))
    assert len(set(zip(wanted, found, strict=True))) == len(set(wanted)) == len(set(found))


def test_empty_strings_are_equal_to_nothing():
    assert duplicates.equal_pairs(np.array(["a", "", "a", ""])).tolist() == [[0, 2]]
