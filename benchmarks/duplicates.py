"""Time `clean` on synthetic images, and measure its memory: python -m benchmarks.duplicates [--faces N]."""

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

SYNTHETIC = 400  # synthetic faces, of which all others are mixtures
NOISE = 12  # grey levels, of the detail of each image
SECONDS, MEBIBYTES = 120, 2048  # at most, for 500,000


def main() -> None:
    """Mix faces from a few synthetic ones, one in fifty a near copy of another, and group them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=500_000)
    count = parser.parse_args().faces
    rows, lumas, sha256 = draw(count, seed=0)
    p = params.load().clean
    start = time.perf_counter()
    near = duplicates.near_pairs(lumas, p.duplicate_correlation)
    compared = time.perf_counter() - start
    faces, removed, _ = clean.group(rows, near, sha256, p.max_age_spread)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    print(f"{count} faces: {len(faces)} kept, {len(removed)} copies")
    print(f"{compared:.1f} s to compare all images, {seconds:.1f} s in total (at most {SECONDS})")
    print(f"peak memory {peak:.0f} MiB (at most {MEBIBYTES})")


def draw(count: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Records, grayscale images and content hashes of that many faces.

    Each is a mixture of two synthetic faces, which are as similar to each other as real faces are, plus noise.
    """
    rng = np.random.default_rng(seed)
    side = 104
    sources = duplicates.shrink(np.stack(drawing.squares(SYNTHETIC, seed, side))).astype(np.float32)
    lumas = np.empty((count, duplicates.SIDE, duplicates.SIDE), np.uint8)
    for at in range(0, count, 4096):
        n = min(4096, count - at)
        noise = gaussian_filter(rng.normal(0, 1, (n, *lumas.shape[1:])), (0, 1, 1))
        blended = sources[rng.integers(0, SYNTHETIC, (n, 2))].mean(axis=1) + NOISE / noise.std() * noise
        lumas[at : at + n] = blended.clip(0, 255)
    near = rng.choice(count, count // 50, replace=False)
    lumas[near] = (lumas[rng.integers(0, count, len(near))] * 0.8 + rng.normal(10, 2, (len(near), 1, 1))).clip(0, 255)
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
    return records.frame(rows), lumas, np.char.add("sha", ids)


if __name__ == "__main__":
    main()
