"""Time `clean` on drawn pictures, and what it takes of memory: python -m benchmarks.copies [--faces N]."""

import argparse
import resource
import sys
import time

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from faces import params
from faces.data import duplicates, records
from faces.data.sample import drawing
from stages import clean

DRAWN = 400  # faces, of which the others are mixed
NOISE = 12  # grey levels, of detail of one's own
SECONDS, MEBIBYTES = 120, 2048  # at most, for 500,000


def main() -> None:
    """Mix faces from a few drawn ones, one in fifty a near copy of another, and group them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=500_000)
    count = parser.parse_args().faces
    rows, grey, sha256 = draw(count, seed=0)
    p = params.load().clean
    start = time.perf_counter()
    near = duplicates.near_pairs(grey, p.same_photo)
    compared = time.perf_counter() - start
    faces, copies, _ = clean.group(rows, near, sha256, p.max_age_spread)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    print(f"{count} faces: {len(faces)} kept, {len(copies)} copies")
    print(f"{compared:.1f} s to compare all pictures, {seconds:.1f} s in all (at most {SECONDS})")
    print(f"peak memory {peak:.0f} MiB (at most {MEBIBYTES})")


def draw(count: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Records, small grey pictures and content hashes of so many faces.

    Each is a mixture of two drawn faces, which resemble each other as faces do, with detail of its own.
    """
    rng = np.random.default_rng(seed)
    side = 104
    drawn = duplicates.shrink(np.stack(drawing.squares(DRAWN, seed, side))).astype(np.float32)
    grey = np.empty((count, duplicates.SIDE, duplicates.SIDE), np.uint8)
    for at in range(0, count, 4096):
        n = min(4096, count - at)
        own = gaussian_filter(rng.normal(0, 1, (n, *grey.shape[1:])), (0, 1, 1))
        mixed = drawn[rng.integers(0, DRAWN, (n, 2))].mean(axis=1) + NOISE / own.std() * own
        grey[at : at + n] = mixed.clip(0, 255)
    again = rng.choice(count, count // 50, replace=False)
    grey[again] = (grey[rng.integers(0, count, len(again))] * 0.8 + rng.normal(10, 2, (len(again), 1, 1))).clip(0, 255)
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
    return records.frame(rows), grey, np.char.add("sha", ids)


if __name__ == "__main__":
    main()
