"""The sample: archives of synthetic faces in the official layouts, with the irregularities of the published ones."""

import dataclasses
import datetime
import gzip
import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
from PIL import Image

from faces.data import archives
from faces.data.datasets import Archive
from faces.data.sample import drawing
from faces.data.sample.drawing import Person
from faces.runtime import executor

CHIP = 100  # pixels: side of a chip
LOT = 32  # images that a process draws per call
MTIME = 1_500_000_000
RACES = ("white", "black", "asian", "indian", "others")
Members = Iterator[tuple[str, bytes]]


def write(dataset: str, wanted: tuple[Archive, ...], faces: int, seed: int, folder: Path) -> None:
    """Write the archives of a dataset's variant to a folder; the same arguments give the same bytes."""
    for number, archive in enumerate(wanted):
        content = _builder(dataset, archive.name)(faces, seed, number, len(wanted))
        part = folder / f".{archive.name}.part"
        zipped = archive.name.endswith(".gz")
        with part.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) if zipped else file as target:
            archives.write_tar(target, content, MTIME)
        part.rename(folder / archive.name)


def _builder(dataset: str, archive: str) -> Callable[[int, int, int, int], Members]:
    if dataset == "utkface":
        return utkface_chips if archive == "UTKFace.tar.gz" else utkface_photos
    if archive == f"{dataset}_crop.tar":
        return lambda faces, seed, number, parts: imdb_wiki(dataset, faces, seed)
    raise NotImplementedError(f"the sample has no {archive}; remove {dataset}'s full and detected from params.yaml")


def _jpeg(image: Image.Image, quality: int = 90, exif: Image.Exif | None = None) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, **({"exif": exif} if exif else {}))
    return buffer.getvalue()


def _draw_all(draw: Callable[..., bytes | tuple[bytes, ...]], items: Iterable[tuple]) -> Iterator:
    """Yield draw(*item) of each item, in order, on all cores."""
    items = list(items)
    lots = [items[start : start + LOT] for start in range(0, len(items), LOT)]
    yield from itertools.chain.from_iterable(executor.map_ordered(_draw_lot, lots, processes=True, draw=draw))


def _draw_lot(lot: list[tuple], draw: Callable[..., bytes | tuple[bytes, ...]]) -> list:
    return [draw(*item) for item in lot]


def _utkface_stem(person: Person, index: int) -> str:
    sex, race = int(person.sex == "female"), RACES.index(person.ethnicity)
    taken = datetime.datetime(2017, 1, 9) + datetime.timedelta(seconds=61 * index)
    return f"{person.age}_{sex}_{race}_{taken:%Y%m%d%H%M%S}{index % 1000:03d}"


def _chip(person: Person, resaved: bool) -> tuple[bytes, ...]:
    """A chip as JPEG and, if resaved, the same image at a lower quality."""
    rng = np.random.default_rng((*person.seed, 4))
    side = int(CHIP * rng.uniform(0.92, 1.12))
    left, top = (int((CHIP - side) / 2 + rng.normal(0, 3)) for _ in "xy")
    image = drawing.photo(person, CHIP, CHIP, (left, top, side))
    return (_jpeg(image), _jpeg(image, 70)) if resaved else (_jpeg(image),)


def utkface_chips(faces: int, seed: int, number: int, parts: int) -> Members:
    """UTKFace.tar.gz: chips, identical and near copies with other labels, irregular names, broken JPEGs."""
    people = drawing.people(faces, seed)
    rng = np.random.default_rng((seed, 5))
    chips = _draw_all(_chip, ((person, index % 75 == 30) for index, person in enumerate(people)))
    for index, (person, (content, *resaved)) in enumerate(zip(people, chips, strict=True)):
        stem = _utkface_stem(person, index)
        yield f"UTKFace/{_published_name(stem, index)}", content[: len(content) // 3] if index in (40, 41) else content
        if index % 60 == 20:  # the same bytes again, with an age that is some years off
            other = dataclasses.replace(person, age=max(1, person.age + int(rng.integers(-12, 13))))
            yield f"UTKFace/{_utkface_stem(other, index + faces)}.jpg.chip.jpg", content
        for copy in resaved:  # with a wrong sex in some
            other = dataclasses.replace(person, sex="male" if rng.random() < 0.5 else person.sex)
            yield f"UTKFace/{_utkface_stem(other, index + 2 * faces)}.jpg.chip.jpg", copy


def _published_name(stem: str, index: int) -> str:
    """File name of a chip, once in each irregular form of the published names."""
    age, sex, _, taken = stem.split("_")
    irregular = {
        10: f"{age}_{sex}_{taken}.jpg.chip.jpg",  # a field is missing
        11: f"{stem}jpg.chip.jpg",  # no dot
        12: f"{stem} .jpg.chip.jpg",  # a space
        13: f"{stem}9.jpg.chip.jpg",  # a longer timestamp
    }
    return irregular.get(index, f"{stem}.jpg.chip.jpg")


def utkface_photos(faces: int, seed: int, number: int, parts: int) -> Members:
    """part1..3.tar.gz: each chip's face in a larger photo, off-centre, at various scales and brightnesses."""
    people = list(enumerate(drawing.people(faces, seed)))[number::parts]
    photos = _draw_all(_photo, ((person,) for _, person in people))
    for (index, person), content in zip(people, photos, strict=True):
        stem = _utkface_stem(person, index)
        if index == 14:  # an empty field, as in the published set
            stem = stem.replace("_", "__", 1)
        yield f"part{number + 1}/{stem}.jpg", content


def _photo(person: Person) -> bytes:
    rng = np.random.default_rng((*person.seed, 6))
    height = int(rng.integers(110, 160))
    width = int(height * rng.uniform(0.80, 1.25))
    side = int(min(height, width) * rng.uniform(0.65, 0.95))
    box = (int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1)), side)
    return _jpeg(drawing.photo(person, width, height, box, light=0.25))


def imdb_wiki(dataset: str, faces: int, seed: int) -> Members:
    """DATASET_crop.tar: the .mat first, then one image per row, with gaps and errors as in the published set."""
    people = drawing.people(faces, seed + 1)
    rng = np.random.default_rng((seed, 7))
    rows = [_wiki_row(rng, person, index) for index, person in enumerate(people)]
    yield f"{dataset}_crop/{dataset}.mat", _mat(dataset, rows)
    noise = [bool(np.isneginf(row["face_score"])) for row in rows]
    images = _draw_all(_wiki_picture, zip(people, range(faces), noise, strict=True))
    for index, (row, content) in enumerate(zip(rows, images, strict=True)):
        if index in (50, 51):
            continue  # the image is missing
        yield f"{dataset}_crop/{row['full_path']}", b"" if index == 52 else content


def _wiki_row(rng: np.random.Generator, person: Person, index: int) -> dict:
    taken = int(rng.integers(1960, 2015))
    born = datetime.date(taken - person.age, int(rng.integers(1, 13)), int(rng.integers(1, 29)))
    if (born.month, born.day) > (7, 1):
        born = born.replace(year=born.year - 1)
    datenum = born.toordinal() + 366
    defect = index % 50
    if defect == 3:
        datenum = int(rng.choice([47, 100]))  # a birth date in year 0
    if defect == 4:
        taken = born.year + int(rng.choice([-20, 130]))
    left, top, side = (int(v) for v in rng.integers(1, 200, 3))
    return {
        "dob": datenum,
        "photo_taken": taken,
        "full_path": f"{index % 100:02d}/{10_000 + index}_{born.isoformat()}_{taken}.jpg",
        "gender": np.nan if defect == 5 else float(person.sex == "male"),
        "name": "" if defect == 8 else f"Person {index - index % 2 if defect < 4 else index}",
        "face_location": np.array([left, top, left + 40 + side, top + 40 + side], float),
        "face_score": -np.inf if defect in (6, 7) else float(rng.uniform(0.2 if defect == 9 else 1.2, 6)),
        "second_face_score": float(rng.uniform(1, 3)) if defect == 10 else np.nan,
    }


def _wiki_picture(person: Person, index: int, noise: bool) -> bytes:
    rng = np.random.default_rng((*person.seed, 8))
    side = int(rng.integers(80, 140))
    if noise:
        return _jpeg(drawing.backdrop(rng, side, side))
    inner = int(side * rng.uniform(0.70, 0.92))
    left, top = (int((side - inner) / 2 + rng.normal(0, side * 0.03)) for _ in "xy")
    image = drawing.photo(person, side, side, (left, top, inner), monochrome=index % 9 == 0)
    if index % 97 == 1:  # stored rotated, with its orientation in EXIF
        exif = Image.Exif()
        exif[0x0112] = 6
        return _jpeg(image.rotate(90), exif=exif)
    return _jpeg(image.convert("CMYK") if index % 97 == 2 else image)


def _mat(dataset: str, rows: list[dict]) -> bytes:
    columns = {name: column.to_numpy()[None] for name, column in pd.DataFrame(rows).items()}
    fields = {name: cells if cells.dtype == object else cells.astype(float) for name, cells in columns.items()}
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {dataset: fields}, do_compression=True)
    data = buffer.getvalue()
    return b"MATLAB 5.0 MAT-file, drawn sample".ljust(116) + data[116:]  # the original header contains the time
