"""Time packing against a bare loop of the same decoder and resize: python -m benchmarks.packing ARCHIVE."""

import argparse
import json
import tempfile
import time
from pathlib import Path

from PIL import Image

from stages import pack
from stages.lib import archives, datasets, packs, params, pictures

LEAST = 0.8  # of the bare loop's rate
MOST = 1.2  # times the archive's size


def main() -> None:
    """In turns, so that both meet the same machine; prints the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, help="UTKFace.tar.gz, or any archive of pictures")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    p = params.load().pack
    ratios = []
    for number in range(arguments.rounds):
        seconds = {}
        order = [("bare", bare), ("pack", packed)]
        for name, run in order if number % 2 else reversed(order):
            start = time.perf_counter()
            count, size = run(arguments.archive, p)
            seconds[name] = time.perf_counter() - start
            if name == "pack":
                share = size / arguments.archive.stat().st_size
        ratios.append(seconds["bare"] / seconds["pack"])
        shown = ", ".join(f"{name} {count / took:.0f} pictures/s" for name, took in sorted(seconds.items()))
        print(f"round {number + 1}: {shown}, ratio {ratios[-1]:.2f}", flush=True)
    print(f"packing is at {sorted(ratios)[len(ratios) // 2]:.2f} of the bare loop (at least {LEAST})")
    print(f"the pack is {share:.2f} times its archive (at most {MOST})")


def bare(archive: Path, p: params.Pack) -> tuple[int, int]:
    """Decode and resize every picture on as many threads as packing takes, and throw it away."""

    def work(name: str, content: bytes) -> int:
        image = pictures.decode(content, near=p.size)
        return image.resize((p.size, p.size), Image.Resampling.BICUBIC).width

    return sum(1 for _ in pack.in_order(work, archives.members(archive))), 0


def packed(archive: Path, p: params.Pack) -> tuple[int, int]:
    """Pack every picture into a folder of its own."""
    module, rejects = datasets.find("utkface"), []
    members = ((module.face_id(name), content) for name, content in archives.members(archive))

    def work(face: str, content: bytes) -> dict:
        return pack.pack_picture(face, content, "cropped", p.size, p.quality, p.margin, None)

    with tempfile.TemporaryDirectory() as folder:
        shards = packs.write(pack.keep(pack.in_order(work, members), rejects), Path(folder), p.shard_faces)
        (Path(folder) / packs.MANIFEST).write_text(json.dumps(shards))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    return sum(shard["faces"] for shard in shards), size


if __name__ == "__main__":
    main()
