"""Predict age, sex and ethnicity of the faces in images: files, folders, globs, or - for standard input.

It prints one row for each face: file, face (its number, the largest first), its box in pixels and detection score, age
in years with its interval and 25-year bin, classes with probabilities, and the model's version. An image that cannot
be used, or that shows no face, has one row with the reason in `error`. Standard input is the bytes of one image, or
names of images, one for each line.

Exit status: 0, each image has a row of a face; 1, some have a reason in `error`, or a folder or glob has no image; 2,
nothing was predicted, since an argument is wrong, or there is no such model or image.
"""

import csv
import functools
import glob
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from commands import command_line
from faces import targets
from faces.data.archives import IMAGE_SUFFIXES, is_hidden
from faces.images import detection, preprocessing
from faces.inference import photos
from faces.inference.predictor import Predictor
from faces.runtime import progress
from faces.tracking import model_choice

STDIN = "-"
MAGIC = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"BM", b"II*", b"MM\0", b"GIF8")  # first bytes of images
COLUMNS = [
    column
    for name, target in targets.TARGETS.items()
    for column in ([name, "interval", "years"] if target.kind == "years" else [name])
]


def main() -> None:
    """Write the rows as they are predicted."""
    parser = command_line.parser(__doc__)
    parser.add_argument("images", nargs="+", help="files, folders (with their subfolders), globs, or -")
    parser.add_argument(
        "--model", help="an ONNX file, its folder, models:/NAME@ALIAS or a registered NAME (default: the champion of "
        f"{model_choice.REGISTERED}, or the shipped model where there is none)",
    )  # fmt: skip
    parser.add_argument("--cropped", action="store_true", help="each image is one face, framed as the model needs")
    parser.add_argument(
        "--least",
        type=float,
        default=detection.MIN_SCORE,
        help="lowest score of a detected face (default: %(default)s)",
    )
    parser.add_argument("--format", choices=("table", "csv", "jsonl"), help="default: table on a terminal, else csv")
    args = parser.parse_args()
    if not 0 < args.least <= 1:
        parser.error(f"--least {args.least}: must be above 0 and at most 1")
    predictor, version = command_line.load_model(args.model)
    by_argument = [(argument, list(expand(argument))) for argument in args.images]
    names = [name for _, images in by_argument for name in images]
    empty = [argument or "''" for argument, images in by_argument if not images]
    nothing = f"no image in {' '.join(empty)}: their names end in {' '.join(IMAGE_SUFFIXES)}"
    if not names:
        parser.error(nothing)
    detector = None if args.cropped else detection.FaceDetector(threads=1)  # photos.batches has a thread an image
    counted = progress.bar(names, "predicting", len(names), "images")
    tasks = (functools.partial(prepare, name, predictor, detector, args.least) for name in counted)
    rows = (
        {"file": row.pop("name")} | row | {"model": version}
        for batch in photos.batches(tasks)
        for row in photos.predict(batch, predictor)
    )
    kind = args.format or ("table" if sys.stdout.isatty() else "csv")
    errors = write(rows, ["file", *photos.columns(predictor), "model", "error"], kind)
    if photos.NO_FACE in errors:
        progress.say("If an image is one face, framed like the model's training images, add --cropped.")
    if empty:
        progress.say(nothing)
    sys.exit(1 if errors or empty else 0)


def expand(argument: str) -> Iterator[str]:
    """Names of images, in order: a file, the images in a folder, matches of a glob, or lines of standard input."""
    if argument == STDIN:
        start = sys.stdin.buffer.peek(16)
        if start.startswith(MAGIC) or start[4:8] == b"ftyp":
            yield STDIN
        else:
            yield from (os.fsdecode(line.rstrip(b"\r\n")) for line in sys.stdin.buffer if line.strip())
    elif argument and Path(argument).is_dir():
        yield from (
            str(path)
            for path in sorted(Path(argument).rglob("*"))
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not is_hidden(path.relative_to(argument))
        )
    elif not Path(argument).exists() and glob.has_magic(argument):
        matches = glob.glob(argument, recursive=True)  # noqa: PTH207, since Path's takes no absolute pattern
        yield from sorted(name for name in matches if Path(name).is_file())
    elif argument:  # '' would be this folder
        yield argument


def prepare(
    name: str, predictor: Predictor, detector: detection.FaceDetector | None, min_score: float
) -> photos.Prepared:
    """Read an image and detect its faces; detector: None where the image is one face."""
    try:
        content = read(name)
    except OSError as error:
        return photos.Prepared(name, error=error.strerror or str(error))
    return photos.prepare(name, content, predictor, detector, min_score)


def read(name: str) -> bytes:
    """Bytes of an image's file, of a too large one only as many as decode needs to reject it. Raises OSError."""
    if name == STDIN:
        return sys.stdin.buffer.read(preprocessing.MAX_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(preprocessing.MAX_BYTES + 1)


def write(rows: Iterable[dict], names: list[str], kind: str) -> list[str]:
    """Write rows to standard output as they arrive; returns their errors."""
    errors, table = [], csv.DictWriter(sys.stdout, names, lineterminator="\n")
    if kind == "csv":
        table.writeheader()
    elif kind == "table":
        print(line("file", "face", COLUMNS))
    for row in rows:
        errors += [row["error"]] if "error" in row else []
        if kind == "csv":
            table.writerow(row)
        else:
            print(json.dumps(row, default=plain) if kind == "jsonl" else as_line(row))
    return errors


def plain(value: object) -> object:
    """A NumPy number as a Python number."""
    return value.item() if isinstance(value, np.generic) else str(value)


def as_line(row: dict) -> str:
    """A row as a line of the table."""
    if "error" in row:
        return line(row["file"], "", [row["error"]])
    cells = []
    for name, target in targets.TARGETS.items():
        if name not in row:
            cells += [""] * (3 if target.kind == "years" else 1)
        elif target.kind == "years":
            low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
            cells += [f"{row[name]:.1f}", f"{low:.0f}-{high:.0f}" if high is not None else "", row[f"{name}_bin"]]
        else:
            cells.append(f"{row[name]} {row[f'{name}_p_{row[name]}']:.2f}")
    return line(row["file"], str(row["face"]), cells)


def line(name: str, face: str, cells: list[str]) -> str:
    """One line of aligned cells; only the end of a long name is shown, and ? for what a terminal does not show."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    name = name if len(name) <= 44 else "..." + name[-41:]
    return "  ".join([name.ljust(44), face.ljust(4), *(cell.ljust(12) for cell in cells)]).rstrip()


if __name__ == "__main__":
    command_line.run(main)
