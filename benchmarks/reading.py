"""Time reading packs for training against the training itself: python -m benchmarks.reading [MODEL].

Needs a pack and a split, so a `dvc repro` first. With --packs it needs neither: it writes packs of synthetic faces,
1.6 GB at most, and times reading a batch of random rows from them, without decoding.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from faces import params
from faces.data import labelled_faces, packs
from faces.data.sample import drawing
from faces.images import preprocessing
from faces.params import overrides
from faces.training import input_pipeline, loop, reproducibility

LEAST = 5.0  # times the rate at which the default network trains
BATCH = 64
SIDE = 72  # pixels of a synthetic face, 3.4 kB: at 104, 460,000 are above 2 GiB, where `take` fails
MOST = 0.4  # milliseconds a batch, without decoding
SIZES = {20_600: 40, 460_000: 15}  # faces of a pack: batches read from it in a round


def main() -> None:
    """Read, decode and augment batches, alone and while a network trains on them, in turns; or only read packs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="utkface-cropped")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--packs", action="store_true", help="only time reading of synthetic packs")
    arguments = parser.parse_args()
    p = params.load()
    if arguments.packs:
        for count, batches in SIZES.items():
            read_rows(count, batches, arguments.rounds, p.pack)
        return
    settings, budget, row = overrides.for_row(p, p.models[arguments.model])
    pack, split = labelled_faces.open_pack(row)
    reproducibility.prepare(settings.threads, settings.seed, budget.precision)
    train, val = (labelled_faces.select_part(split, pack, part, row.targets)[0] for part in ("train", "val"))
    side, steps = pack.manifest["side"], input_pipeline.steps_in_epoch(train, settings)
    count = steps * min(settings.batch_size, len(train))
    loop.fit(row, train, val, settings, side, 1)  # tracing is not timed
    for number in range(arguments.rounds):
        start = time.perf_counter()
        for _ in plain(train, settings, side):
            pass
        plain_rate = count / (time.perf_counter() - start)
        start = time.perf_counter()
        for _ in input_pipeline.batches(train, settings, side, 1).take(steps):
            pass
        whole_rate = count / (time.perf_counter() - start)
        start = time.perf_counter()
        loop.fit(row, train, val, settings, side, 1)
        train_rate = count / (time.perf_counter() - start)
        print(
            f"round {number + 1}: reading {plain_rate:.0f} images/s, with augmentation {whole_rate:.0f}, "
            f"training {train_rate:.0f}; reading is {plain_rate / train_rate:.1f} times training (at least {LEAST})",
            flush=True,
        )


def read_rows(count: int, batches: int, rounds: int, settings: params.Pack) -> None:
    """Print milliseconds a batch of random rows of a pack of `count` faces, and of Arrow's `take`, in turns."""
    encoded = [preprocessing.encode(face, settings.quality) for face in drawing.squares(BATCH, 0, SIDE)]
    with tempfile.TemporaryDirectory() as folder:
        pack = synthetic_pack(Path(folder), encoded, count, settings.shard_faces)
        column = pack.table["image"]
        print(f"{count} faces in {column.num_chunks} record batches, {column.nbytes / 1e9:.2f} GB of images")
        decoding = milliseconds(lambda _: [np.asarray(preprocessing.decode(one)) for one in encoded], [None] * 5)
        print(f"  decoding takes {decoding:.1f} ms a batch of {BATCH}")
        ways = {"take": lambda rows: column.take(pa.array(rows)).to_pylist(), "pack": pack.images}
        rng = np.random.default_rng(0)
        for number in range(rounds):
            sampled = rng.integers(0, count, (batches, BATCH))
            took = {name: milliseconds(read, sampled) for name, read in ways.items()}
            assert all(pack.images(rows) == ways["take"](rows) for rows in sampled[:2])
            print(
                f"  round {number + 1}: without decoding {took['pack']:.3f} ms (at most {MOST}), "
                f"by `take` {took['take']:.1f} ms",
                flush=True,
            )


def synthetic_pack(folder: Path, encoded: list[bytes], count: int, shard_faces: int) -> packs.Pack:
    """A pack of `count` faces, which have the encoded images in turn."""
    columns = {"width": 1, "height": 1, "brightness": 0.0, "phash": 0, "sha256": "0" * 64}
    rows = ({"face_id": f"{i:07d}", "image": encoded[i % len(encoded)]} | columns for i in range(count))
    shards = packs.write(rows, folder, shard_faces)
    (folder / packs.MANIFEST).write_text(json.dumps({"shards": shards}))
    return packs.Pack(folder)


def milliseconds(work: Callable, items: list | np.ndarray) -> float:
    """Median time of a call with an item."""
    taken = []
    for item in items:
        start = time.perf_counter()
        work(item)
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken))


def plain(train: labelled_faces.Faces, settings: params.Train, side: int):  # noqa: ANN201 - yields batches
    """Decoded batches of one epoch in training order, not augmented."""
    import tensorflow as tf

    order = input_pipeline.epoch_order(train, settings.balance, settings.seed, 0)

    def encoded():
        for start in range(0, len(order) - settings.batch_size + 1, settings.batch_size):
            yield train.pack.images(train.rows[order[start : start + settings.batch_size]])

    data = tf.data.Dataset.from_generator(encoded, output_signature=tf.TensorSpec((None,), tf.string))
    return data.map(
        lambda batch: input_pipeline.decode_batch(batch, side), num_parallel_calls=settings.threads
    ).prefetch(4)


if __name__ == "__main__":
    main()
