"""Tell age, sex and ethnicity of the faces in pictures: files, folders, globs, or - for standard input.

One row a face: file, face (its number, the largest first), its box in pixels and the score of its finding, age in years
with its interval and 25-year bin, classes with probabilities, the model's version. A picture that cannot be used, or
that shows no face, is a row with its reason in `error`. - is a picture's bytes, or the names of pictures, a line each.

Exit status: 0, each picture gave a row of a face; 1, some have a reason in `error`; 2, nothing was predicted, since the
words, the model or the pictures are not there.
"""

import argparse
import csv
import glob
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from faces import targets
from faces.data.archives import IMAGE_SUFFIXES
from faces.images import detection, preprocessing
from faces.inference import photos
from faces.inference.photos import Prepared
from faces.inference.predictor import ModelError, Predictor
from faces.runtime import progress
from faces.tracking import model_choice

LOT = 32  # pictures that are predicted together
STDIN = "-"
HEADS = [
    head
    for name, target in targets.TARGETS.items()
    for head in ([name, "interval", "years"] if target.kind == "years" else [name])
]


def main() -> None:
    """Write the rows as they are made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", help="files, folders (with those in them), globs, or -")
    parser.add_argument(
        "--model", help="an ONNX file, models:/NAME@ALIAS or a registered NAME; the champion of "
        f"{model_choice.REGISTERED}, or the shipped model where there is none, unless given",
    )  # fmt: skip
    parser.add_argument("--cropped", action="store_true", help="each picture is a face, framed as the model knows them")
    parser.add_argument(
        "--least", type=float, default=detection.MIN_SCORE, help="score from which a finding is a face; 0.5"
    )
    parser.add_argument(
        "--format", choices=("table", "csv", "jsonl"), help="table on a terminal, else csv, unless given"
    )
    words = parser.parse_args()
    if not 0 < words.least <= 1:
        parser.error(f"--least {words.least} is not above 0 and up to 1")
    try:
        served = model_choice.find(words.model)
        predictor = Predictor(served.path)
    except ModelError as error:
        parser.error(str(error))
    names = list(expand(words.pictures))
    if not names:
        parser.error(f"no picture in {' '.join(words.pictures)}: their names end in {' '.join(IMAGE_SUFFIXES)}")
    finder = None if words.cropped else detection.FaceDetector(threads=1)  # pictures, not parts of one, are shared out
    lots = prepared(progress.bar(names, "predicting", len(names), "pictures"), predictor, finder, words.least)
    rows = (
        {"file": row.pop("name")} | row | {"model": served.version}
        for lot in lots
        for row in photos.predict(lot, predictor)
    )
    kind = words.format or ("table" if sys.stdout.isatty() else "csv")
    try:
        failed = write(rows, ["file", *photos.columns(predictor), "model", "error"], kind)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    sys.exit(1 if failed else 0)


def expand(words: Iterable[str]) -> Iterator[str]:
    """Names of pictures, in order: of files, of the pictures in folders, of what globs match, and of standard input."""
    for word in words:
        if word == STDIN:
            start = sys.stdin.buffer.peek(16)[:16]
            if picture_begins(start):
                yield STDIN
            else:
                yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        elif Path(word).is_dir():
            yield from (
                str(path)
                for path in sorted(Path(word).rglob("*"))
                if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
            )
        elif not Path(word).exists() and glob.has_magic(word):
            found = glob.glob(word, recursive=True)  # noqa: PTH207, since Path's knows no absolute pattern
            yield from sorted(name for name in found if Path(name).is_file())
        else:
            yield word


def picture_begins(start: bytes) -> bool:
    """Whether bytes are those that a picture's file begins with, not a text's."""
    marks = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"BM", b"II*", b"MM\0", b"GIF8")
    return start.startswith(marks) or start[4:8] == b"ftyp"


def prepared(
    names: Iterable[str], predictor: Predictor, finder: detection.FaceDetector | None, least: float
) -> Iterator[list[Prepared]]:
    """Lots of pictures, read, and their faces found, by as many threads as cores; a lot ahead of who takes them."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ahead: list = []
        for lot in lots_of(names):
            ahead.append([pool.submit(prepare, name, predictor, finder, least) for name in lot])
            if len(ahead) > 1:
                yield [each.result() for each in ahead.pop(0)]
        for lot in ahead:
            yield [each.result() for each in lot]


def lots_of(names: Iterable[str]) -> Iterator[list[str]]:
    """LOT names at a time."""
    names = iter(names)
    while lot := list(itertools.islice(names, LOT)):
        yield lot


def prepare(name: str, predictor: Predictor, finder: detection.FaceDetector | None, least: float) -> Prepared:
    """Read a picture and find its faces; finder: None where the whole is one."""
    try:
        content = read(name)
    except OSError as error:
        return Prepared(name, error=error.strerror or str(error))
    return photos.prepare(name, content, predictor, finder, least)


def read(name: str) -> bytes:
    """Bytes of a picture's file, no more of a larger one than decode needs to refuse it. Raises OSError."""
    if name == STDIN:
        return sys.stdin.buffer.read(preprocessing.MAX_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(preprocessing.MAX_BYTES + 1)


def write(rows: Iterable[dict], names: list[str], kind: str) -> int:
    """Write rows to standard output as they come; returns how many have a reason in `error`."""
    failed = 0
    if kind == "csv":
        table = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        table.writeheader()
    elif kind == "table":
        print(line("file", "face", HEADS))
    for row in rows:
        failed += "error" in row
        if kind == "csv":
            table.writerow(row)
        elif kind == "jsonl":
            print(json.dumps(row, default=plain))
        else:
            print(shown(row))
    sys.stdout.flush()
    return failed


def plain(value: object) -> object:
    """A NumPy number as Python's own."""
    return value.item() if isinstance(value, np.generic) else str(value)


def shown(row: dict) -> str:
    """A row as a person reads it."""
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
    """Cells below one another, after the end of a long name."""
    name = name if len(name) <= 44 else "..." + name[-41:]
    return "  ".join([name.ljust(44), face.ljust(4), *(cell.ljust(12) for cell in cells)]).rstrip()


if __name__ == "__main__":
    main()
