"""Time packing against a plain loop of the same decoder and resize: python -m benchmarks.packing ARCHIVE."""

import argparse
import collections
import io
import itertools
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from faces import params
from faces.data import archives, datasets, packs
from faces.runtime import executor
from stages import pack

LEAST = 0.8  # of the plain loop's rate
MOST = 1.2  # times the archive's size


def main() -> None:
    """Run both in turns, so that the machine's load is the same for both, and print the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, help="UTKFace.tar.gz, or any archive of images")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    p = params.load().pack
    ratios = []
    for number in range(arguments.rounds):
        seconds = {}
        order = [("plain", plain), ("pack", packed)]
        for name, run in order if number % 2 else reversed(order):
            start = time.perf_counter()
            count, size = run(arguments.archive, p)
            seconds[name] = time.perf_counter() - start
            if name == "pack":
                share = size / arguments.archive.stat().st_size
        ratios.append(seconds["plain"] / seconds["pack"])
        shown = ", ".join(f"{name} {count / took:.0f} images/s" for name, took in sorted(seconds.items()))
        print(f"round {number + 1}: {shown}, ratio {ratios[-1]:.2f}", flush=True)
    print(f"packing is at {sorted(ratios)[len(ratios) // 2]:.2f} of the plain loop (at least {LEAST})")
    print(f"the pack is {share:.2f} times its archive (at most {MOST})")


def plain(archive: Path, p: params.Pack) -> tuple[int, int]:
    """Decode and resize every image with Pillow on as many threads as cores, and discard it."""

    def work(lot: list[tuple[str, bytes]]) -> int:
        decoded = (Image.open(io.BytesIO(content)).convert("RGB") for _, content in lot)
        return sum(1 for image in decoded if image.resize((p.side, p.side), Image.Resampling.BICUBIC))

    count, running = 0, collections.deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for lot in pack.lots(archives.members(archive)):
            running.append(pool.submit(work, lot))
            if len(running) > 3 * os.cpu_count():
                count += running.popleft().result()
        return count + sum(lot.result() for lot in running), 0


def packed(archive: Path, p: params.Pack) -> tuple[int, int]:
    """Pack every image into a temporary folder, as the stage does."""
    with tempfile.TemporaryDirectory() as folder:
        shards = pack_into(Path(folder), archive, p)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    return sum(shard["faces"] for shard in shards), size


def pack_into(folder: Path, archive: Path, p: params.Pack, times: int = 1) -> list[dict]:
    """Pack every image of an archive `times` times into a folder; returns the shards as in its manifest."""
    module, rejects = datasets.find("utkface"), []
    photos = (
        (f"{module.face_id(name)} {copy}", content, None)
        for copy in range(times)
        for name, content in archives.members(archive)
    )
    settings = {"variant": "cropped", "side": p.side, "quality": p.quality, "boxed": False, "margin": p.margin}
    prepared = executor.map_ordered(pack.pack_images, pack.lots(photos), processes=True, **settings)
    shards = packs.write(pack.keep(itertools.chain.from_iterable(prepared), rejects, []), folder, p.shard_faces)
    (folder / packs.MANIFEST).write_text(json.dumps(shards))
    return shards


if __name__ == "__main__":
    main()
