"""Time training against a PyTorch loop and stock Keras that do the same work: python -m benchmarks.training.

The same network, faces, batches, augmentation, losses, optimizer and averages, reading and decoding included; each
program in its own process, in turns. Needs a pack and a split, so a `dvc repro` first, and an environment of
benchmarks/pytorch/requirements.txt (`make bench-training` makes one).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from faces import params, targets
from faces.data import labelled_faces
from faces.images import preprocessing
from faces.params import overrides

LEAST = 0.80  # of PyTorch's rate
PROGRAMS = ("ours", "pytorch", "stock Keras")
# Settings of all programs that replace those of the recipe, and those of its augmentation.
COMMON = {"progressive_sizes": [], "label_weight_power": {}, "balance": "none", "tta_flip": False, "age_sigma": 2.0}
COMMON_AUGMENT = {"mixup_alpha": 0.0, "weak_final_fraction": 0.0}
# For PyTorch, what faces/runtime/memory.py sets in glibc for ours; PyTorch's tensors are allocated by glibc.
MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_TOP_PAD_": "67108864"}
MALLOC |= {"MALLOC_ARENA_MAX": "1"}
LOOP = Path(__file__).parent / "pytorch/loop.py"


def main() -> None:
    """Run each program some times in turns, and print the settings, rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a row of models whose network is `residual`; default: the first")
    parser.add_argument("--pytorch", default=".venv-pytorch/bin/python", help="Python with PyTorch")
    parser.add_argument("--precision", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--programs", nargs="+", default=PROGRAMS, choices=PROGRAMS)
    parser.add_argument("--faces", type=int, default=2048, help="faces in an epoch")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each program")
    parser.add_argument(
        "--until", type=float, help="instead, train on all faces until this MAE on validation, in years"
    )
    parser.add_argument("--epochs", type=int, default=16, help="with --until: epochs of the learning rate schedule")
    parser.add_argument("--set", nargs="+", default=[], help="settings of train to change: batch_size=128")
    parser.add_argument("--options", help="options of the network to change, as JSON")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(*args.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        work = prepare(args, Path(folder))
        shown = {key: value for key, value in work.items() if key not in ("faces", "val", "row", "settings")}
        print("settings of all:", json.dumps(shown))
        print("memory: kept from step to step by ours and, with", MALLOC, "by PyTorch; stock Keras frees it")
        rates: dict[tuple[str, str], list[float]] = {}
        for number in range(1 if args.until else args.rounds):
            for precision in args.precision:
                for program in args.programs:
                    path = Path(folder) / "work.json"
                    path.write_text(json.dumps(work | {"precision": precision}))
                    epochs = list(run(program, args.pytorch, path))
                    if args.until:
                        done = f"{epochs[-1]['seconds'] / 60:.1f} minutes, {len(epochs)} epochs"
                        met = "" if epochs[-1]["age_mae"] <= args.until else f", {args.until} was not reached"
                        print(
                            f"{program} in {precision}: MAE {epochs[-1]['age_mae']:.2f} after {done}{met}", flush=True
                        )
                        continue
                    between = np.diff([epoch["seconds"] for epoch in epochs])
                    rate = work["steps"] * work["batch_size"] / float(np.median(between))
                    rates.setdefault((precision, program), []).append(rate)
                    print(f"round {number + 1}, {precision}, {program}: {rate:.0f} faces/s", flush=True)
        for (precision, program), measured in rates.items():
            ratio = np.median(np.array(measured) / rates.get((precision, "pytorch"), [np.nan] * len(measured)))
            least = f" (at least {LEAST})" if program == "ours" else ""
            print(f"{precision}, {program}: {np.median(measured):.0f} faces/s, {ratio:.2f} of PyTorch{least}")


def prepare(args: argparse.Namespace, folder: Path) -> dict:
    """Write faces and settings for all programs; returns the settings."""
    import yaml

    p = params.load()
    args.model = args.model or next(iter(p.models))
    if args.model not in p.models or p.models[args.model].network != "residual":
        raise SystemExit(f"{args.model} is not a row of models in params.yaml whose network is residual")
    p = p.model_copy(update={"budget": "real"})  # the sample's budget has smaller networks and images
    settings, _, row = overrides.for_row(p, p.models[args.model])
    if args.options:
        row = row.model_copy(update={"options": json.loads(args.options)})
    changed = {key: yaml.safe_load(value) for key, value in (pair.split("=", 1) for pair in args.set)}
    values = settings.model_dump()
    values["augment"] |= COMMON_AUGMENT
    settings = params.Settings.model_validate(values | COMMON | changed)
    pack, split = labelled_faces.open_pack(row)
    if preprocessing.reduction_factor(*labelled_faces.view(pack.manifest["side"], settings)[:3]) > 1:
        raise SystemExit(f"{settings.image_size} pixels: ours would decode smaller images than PyTorch's loop")
    train, val = (labelled_faces.select_part(split, pack, part, row.targets)[0] for part in ("train", "val"))
    count = len(train) if args.until else min(args.faces, len(train))
    images = pack.images(train.rows[:count])
    labels = {f"label_{name}": values[:count] for name, (values, _) in train.labels.items()}
    masks = {f"mask_{name}": known[:count] for name, (_, known) in train.labels.items()}
    ends = np.cumsum([0, *(len(content) for content in images)])
    np.savez(folder / "faces.npz", bytes=np.frombuffer(b"".join(images), np.uint8), ends=ends, **labels, **masks)
    n = len(val) if args.until else 64
    pixels = np.concatenate([*labelled_faces.pixels(val, *labelled_faces.view(pack.manifest["side"], settings))])[:n]
    years, known = (part[:n] for part in val.labels["age"])
    np.savez(folder / "val.npz", images=pixels, age=years, known=known)
    recipe = settings.model_dump(exclude={"patience", "monitor", "balance"})
    return recipe | row.options | {
        "faces": str(folder / "faces.npz"),
        "val": str(folder / "val.npz"),
        "row": row.model_dump(),
        "settings": settings.model_dump(),
        "model": args.model,
        "count": count,
        "steps": count // settings.batch_size,
        "heads": {name: targets.TARGETS[name].units for name in row.targets},
        "epochs": args.epochs if args.until else 4,
        "until": args.until or 0.0,
        "workers": 1,
    }  # fmt: skip


def run(program: str, pytorch: str, work: Path) -> Iterator[dict]:
    """Run a program and yield what it prints after each epoch: epoch, seconds and age_mae."""
    if program == "pytorch":
        command = [pytorch, str(LOOP), str(work)]
        if not Path(pytorch).exists():
            raise SystemExit(f"{pytorch} does not exist: `make bench-training` makes it, and --pytorch names another")
    else:
        command = [sys.executable, "-m", "benchmarks.training", "--one", program, str(work)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | (MALLOC if program == "pytorch" else {})
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
    if process.returncode:
        raise SystemExit(f"{program} failed with exit status {process.returncode}")


def one(program: str, path: str) -> None:
    """Train as the stage train, or with stock Keras layers and memory; print seconds and error after each epoch."""
    import time

    import keras

    from faces import networks
    from faces.runtime import memory
    from faces.training import loop, reproducibility

    work = json.loads(Path(path).read_text())
    row, settings = params.Model(**work["row"]), params.Settings(**work["settings"])
    if program == "stock Keras":
        networks.FusedBatchNormalization = keras.layers.BatchNormalization
        memory.keep = lambda: False
    reproducibility.prepare(settings.threads, settings.seed, work["precision"])
    pack, split = labelled_faces.open_pack(row)
    train, val = (labelled_faces.select_part(split, pack, part, row.targets)[0] for part in ("train", "val"))
    n = len(val) if work["until"] else 64
    train, val = train.where(np.arange(work["count"])), val.where(np.arange(n))
    started = time.perf_counter()

    def on_epoch(epoch: int, numbers: dict[str, float]) -> None:
        seconds = time.perf_counter() - started
        print(json.dumps({"epoch": epoch + 1, "seconds": seconds, "age_mae": numbers["val_age_mae"]}), flush=True)
        if numbers["val_age_mae"] <= work["until"]:
            raise SystemExit

    loop.fit(row, train, val, settings, pack.manifest["side"], work["epochs"], on_epoch)


if __name__ == "__main__":
    main()
