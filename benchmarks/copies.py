"""Time `clean` on drawn hashes, and what it takes of memory: python -m benchmarks.copies [--faces N]."""

import argparse
import resource
import sys
import time

import numpy as np
import pandas as pd

from stages import clean
from stages.lib import params, records

SECONDS, MEBIBYTES = 120, 2048  # at most, for 500,000


def main() -> None:
    """Draw hashes whose bits are as uneven as those of faces, one in fifty a near copy of another, and group them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=500_000)
    count = parser.parse_args().faces
    rows, phash, sha256 = draw(count, seed=0)
    p = params.load().clean
    start = time.perf_counter()
    faces, copies, _ = clean.group(rows, phash, sha256, p.max_distance, p.max_age_spread)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    print(f"{count} faces: {len(faces)} kept, {len(copies)} copies")
    print(f"{seconds:.1f} s (at most {SECONDS}), peak memory {peak:.0f} MiB (at most {MEBIBYTES})")


def draw(count: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Records, perceptual hashes and content hashes of so many faces."""
    rng = np.random.default_rng(seed)
    often = rng.uniform(0.25, 0.75, 63)
    phash = np.zeros(count, np.uint64)
    for bit, share in enumerate(often):
        phash |= (rng.random(count) < share).astype(np.uint64) << np.uint64(bit)
    again = rng.choice(count, count // 50, replace=False)
    phash[again] = phash[rng.integers(0, count, len(again))] ^ (
        np.uint64(1) << rng.integers(0, 63, len(again), np.uint64)
    )
    ids = np.char.zfill(np.arange(count).astype(str), 7)
    rows = pd.DataFrame(
        {
            "face_id": ids,
            "age": rng.integers(1, 90, count).astype(float),
            "sex": rng.choice(["male", "female"], count),
            "identity": np.char.add("nm", rng.integers(0, count // 20, count).astype(str)),
            "reject": "",
        }
    )
    return records.frame(rows), phash, np.char.add("sha", ids)


if __name__ == "__main__":
    main()
