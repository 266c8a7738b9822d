"""Time reading packs for training beside the training itself: python -m benchmarks.reading [MODEL].

Needs a pack and a split, so a `dvc repro` first.
"""

import argparse
import time

from stages.lib import faces, params, training

LEAST = 5.0  # times the rate at which the default network trains


def main() -> None:
    """Read, decode and augment batches without and with a network to train on them, in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="utkface-cropped")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    p = params.load()
    row = p.models[arguments.model]
    pack, split = faces.open_pack(row)
    training.prepare(p.train.threads, p.train.seed, p.budget_for(pack.manifest["kind"]).precision)
    train, val = (faces.of(split, pack, part, row.targets)[0] for part in ("train", "val"))
    side, steps = pack.manifest["side"], training.steps_in_epoch(train, p.train)
    count = steps * min(p.train.batch_size, len(train))
    training.fit(row, train, val, p.train, side, 1)  # what is traced once is not timed
    for number in range(arguments.rounds):
        start = time.perf_counter()
        for _ in plain(train, p.train, side):
            pass
        plain_rate = count / (time.perf_counter() - start)
        start = time.perf_counter()
        for _ in training.batches(train, p.train, side, 1).take(steps):
            pass
        whole_rate = count / (time.perf_counter() - start)
        start = time.perf_counter()
        training.fit(row, train, val, p.train, side, 1)
        train_rate = count / (time.perf_counter() - start)
        print(
            f"round {number + 1}: reading {plain_rate:.0f} pictures/s, with augmentation {whole_rate:.0f}, "
            f"training {train_rate:.0f}; reading is {plain_rate / train_rate:.1f} times training (at least {LEAST})",
            flush=True,
        )


def plain(train: faces.Faces, settings: params.Train, side: int):  # noqa: ANN201 - yields batches
    """Decoded batches of one epoch in its order, as training reads them, not augmented."""
    import tensorflow as tf

    order = training.epoch_order(train, settings.balance, settings.seed, 0)

    def encoded():
        for start in range(0, len(order) - settings.batch_size + 1, settings.batch_size):
            yield train.pack.images(train.rows[order[start : start + settings.batch_size]])

    data = tf.data.Dataset.from_generator(encoded, output_signature=tf.TensorSpec((None,), tf.string))
    return data.map(lambda batch: training.decode_batch(batch, side), num_parallel_calls=settings.threads).prefetch(4)


if __name__ == "__main__":
    main()
