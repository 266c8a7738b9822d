"""Inputs built from a seed and then mutated are read rightly, or refused with a reason; never with another error.

`pytest -m slow -rP tests/test_fuzz.py` shows the counts. An assertion names the case that failed, and its seed is that
name: `images(random.Random("PNG 17"), "PNG")` repeats it.
"""

import base64
import bz2
import copy
import csv
import functools
import gzip
import io
import json
import lzma
import random
import resource
import struct
import sys
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pillow_heif
import psutil
import pytest
import requests
import scipy.io
import skimage.data
import yaml
from PIL import Image, PngImagePlugin

from faces import params
from faces.data import archives, records
from faces.data.archives import ArchiveError
from faces.data.datasets import imdb_wiki, table
from faces.images import preprocessing
from faces.runtime import progress
from tests import browser, servers
from tests.conftest import ROOT, encoded, picture
from tests.images.test_preprocessing import exif

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SHARE, SECONDS, MEMORY = 0.3, 10, 2 << 30  # least share that is read; most for one input, and bytes of a process
NUMBERS = [0, 1, 2, 127, 255, 256, 32767, 65535, 1 << 24, (1 << 31) - 1, (1 << 32) - 1]
WORDS = ["", " ", "a", "é", "照片", "a,b;c", 'say "x"', "two\nlines", "x" * 300, "../a", "-1", "1e400", "NaN", "\u202e"]


def cases(size, **counts):
    """Parametrize a test by kind and the number of its first case; size: cases of one test."""
    chunks = [(kind, first) for kind, count in counts.items() for first in range(0, count, size)]
    return pytest.mark.parametrize(("kind", "first", "count"), [(*chunk, size) for chunk in chunks])


def run(kind, first, count, check, memory=lambda: 0):
    """Call check(rng, kind) for each case; it returns whether the input was read, at least in part."""
    read, slowest, before = 0, 0.0, peak()
    for name in (f"{kind} {number}" for number in range(first, first + count)):
        started = time.monotonic()
        try:
            read += check(random.Random(name), kind)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"case {name!r}: {type(error).__name__}: {error}") from error
        slowest = max(slowest, time.monotonic() - started)
        assert slowest < SECONDS, f"case {name!r} took {slowest:.1f} s"
        assert max(peak(), memory()) <= max(before, MEMORY), f"case {name!r}: {peak() >> 20}, {memory() >> 20} MiB"
    progress.say(
        f"fuzz {kind}: {read} of {count} read, {read / count:.0%}; slowest {slowest:.2f} s; "
        f"peak {peak() >> 20} MiB, servers {memory() >> 20} MiB"
    )
    assert read >= SHARE * count


def peak():
    """Most bytes that this process had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def some(rng, values, share=0.5):
    return [value for value in values if rng.random() < share]


def hurt(rng, content, cuts=()):
    """Content with one to three faults. cuts: places at which it is divided into parts of its format."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        start = rng.randrange(min(len(content), rng.choice([64, 64, 1 << 30])) or 1)
        end = start + rng.choice([1, 2, 4, 4, rng.randrange(1, 64)])
        part, number = content[start:end], rng.choice(NUMBERS).to_bytes(4, rng.choice(["little", "big"]))
        new = {
            "number": number if len(part) > 3 else number[-len(part) :],
            "noise": rng.randbytes(len(part)),
            "zeros": bytes(len(part)),
            "less": b"",
            "more": part * 2,
            "bit": bytes([part[0] ^ 1 << rng.randrange(8)]) + part[1:] if part else b"",
        }
        kind = rng.choice([*new, "bit", "cut", "parts", "end"])
        if kind in new:
            content = content[:start] + new[kind] + content[end:]
        elif kind == "cut":
            content = content[: rng.randrange(len(content) or 1)]
        elif kind == "end":
            content += rng.randbytes(rng.randrange(1, 40))
        elif len(cuts) > 2:
            parts = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
            one, other = rng.sample(range(1, len(parts)), 2)
            parts[one] = rng.choice([b"", parts[one] * 2, parts[other]])
            content = b"".join(parts)
    return content


# Images

MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "L", "P", "RGBA", "LA", "1", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("RGB", "L", "P", "1"),
    "TIFF": ("RGB", "L", "P", "RGBA", "CMYK", "1", "I;16", "I", "F", "YCbCr"),
    "GIF": ("RGB", "P", "L", "1"),
    "HEIF": ("RGB", "RGBA", "L"),
    "AVIF": ("RGB", "RGBA"),
}
EXACT = ("RGB", "L", "P", "1")  # modes whose pixels are known after a lossless format
ANIMATED = ("PNG", "WEBP", "TIFF", "GIF")


def in_mode(image, mode):
    """An image in a mode of Pillow; those of 16 and 32 bits use all 16."""
    if mode.startswith("I"):
        values = np.asarray(image.convert("L")).astype(np.uint16 if ";" in mode else np.int32)
        return Image.fromarray((values | 1) * 257)
    return image.convert("L").convert(mode) if mode == "F" else image.convert(mode)


def image_file(rng, kind):
    """A valid image file, its upright image as RGB where the pixels are known, its size, and its frames."""
    size = rng.choice([(rng.randrange(1, 90), rng.randrange(1, 90))] * 9 + [(1, 999), (999, 1), (240, 180)])
    mode, turn = rng.choice(MODES[kind]), rng.choice([1, 1, *range(1, 9)])
    image = picture(rng.randrange(99), size)
    image = in_mode(image, mode)
    options, frames = {}, 1
    if kind in ("JPEG", "PNG", "WEBP") and turn > 1:
        faults = [
            (rng.randrange(1, 65535), rng.randrange(1, 14), rng.choice(NUMBERS[:8]), rng.randbytes(4))
            for _ in range(rng.randrange(4))
        ]
        options["exif"] = exif((0x0112, 3, 1, struct.pack("<HH", turn, 0)), *[f for f in faults if f[0] != 0x0112])
    elif kind == "TIFF":
        options["tiffinfo"] = {0x0112: turn}
        options["compression"] = rng.choice(["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
    else:
        turn = 1
    if kind in ("JPEG", "HEIF", "AVIF", "WEBP"):
        options |= {"quality": rng.randrange(20, 96), "lossless": kind == "WEBP", "speed": 10}
        options |= {"progressive": rng.random() < 0.3, "comment": rng.randbytes(rng.randrange(99))}
    if kind in ("JPEG", "PNG", "WEBP", "TIFF") and rng.random() < 0.2:
        options["icc_profile"] = rng.randbytes(rng.randrange(1, 400))
    if kind == "PNG" and rng.random() < 0.4:
        options["pnginfo"] = texts = PngImagePlugin.PngInfo()
        for add in some(rng, [texts.add_text, texts.add_itxt]):
            add("Comment", rng.choice(WORDS) * rng.choice([1, 1, 9000]), zip=rng.random() < 0.5)
    if kind in ANIMATED and rng.random() < 0.3:
        frames = rng.randrange(2, 4)
        others = [in_mode(picture(100 + number, size).convert("L"), mode) for number in range(1, frames)]
        options |= {"save_all": True, "append_images": others}
    known = kind in ("PNG", "BMP", "TIFF", "WEBP") and mode in EXACT
    if kind in ("PNG", "GIF") and mode in ("P", "L") and frames == 1 and rng.random() < 0.3:
        options["transparency"], known = rng.randrange(256), False
    content = encoded(image, kind, **options)
    upright = image if turn == 1 else image.transpose(preprocessing.TURNS[turn])
    return content, upright.convert("RGB") if known else None, upright.size, frames


def image_parts(kind, content):
    """Places that divide a file into the chunks, segments or boxes of its format."""
    at = {"PNG": 8, "JPEG": 2, "WEBP": 12, "HEIF": 0, "AVIF": 0}.get(kind, len(content))
    cuts = [at] if at else []
    while at + 8 < len(content) and len(cuts) < 99:
        head = content[at : at + 8]
        at += {
            "PNG": 12 + int.from_bytes(head[:4]),
            "JPEG": 2 + int.from_bytes(head[2:4]),
            "WEBP": 8 + int.from_bytes(head[4:], "little"),
        }.get(kind, max(8, int.from_bytes(head[:4])))
        cuts.append(at)
    return cuts


def with_checksums(content):
    """A PNG whose chunks have the checksums that they should have."""
    at, made = 8, content[:8]
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4])
        made += content[at:end] + zlib.crc32(content[at + 4 : end]).to_bytes(4)
        at = end + 4
    return made


def images(rng, kind):
    content, known, size, frames = image_file(rng, kind)
    whole = rng.random() < 0.4
    if not whole:
        content = hurt(rng, content, image_parts(kind, content))
        content = with_checksums(content) if kind == "PNG" and rng.random() < 0.7 else content
    near = rng.choice([None, None, 32])
    try:
        image = preprocessing.decode(content, near)
    except preprocessing.ImageError as error:
        assert str(error)
        assert not whole or "fractions" in str(error), error
        return False
    assert image.mode == "RGB"
    assert preprocessing.encode(preprocessing.fit(image, rng.choice(["full", "cropped"]), 64), 90)
    several = preprocessing.has_frames(content)
    if whole:
        assert image.size == size or (near and kind == "JPEG")
        assert known is None or np.array_equal(image, known)
        assert several == (frames > 1) or kind not in ANIMATED
    return True


@cases(500, **dict.fromkeys(MODES, 1000))
def test_images(kind, first, count):
    pillow_heif.register_heif_opener()
    run(kind, first, count, images)


# Archives

TARS = {"tar": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
OUTSIDE = ["../up.jpg", "/root.jpg", "a/../../b.jpg"]
TYPES = {"link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE, "folder": tarfile.DIRTYPE}
LIMIT = 4 << 20  # bytes that the members of an archive may have together, instead of half a gigabyte


def entries(rng):
    """(type, name, content) of what is put in an archive."""
    made = []
    for number in range(rng.randrange(1, 9)):
        name = (
            rng.choice(["a", "b/c", "./d", "ü ", "照片", "x" * 150, "e\\f", "same", "k.zip", "l.tar.gz"])
            + f"{number % 7}"
        )
        content = rng.choice([b"", rng.randbytes(rng.randrange(2000)), b"text " * 300, encoded(picture(number))])
        kind = rng.choice(["file"] * 6 + ["outside", "large", *TYPES])
        name = rng.choice(OUTSIDE) if kind == "outside" else name
        content = bytes(70_000) if kind == "large" else b"" if kind in TYPES else content
        made.append((kind, name, content))
    return made


def as_tar(rng, members):
    buffer, form = io.BytesIO(), rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for kind, name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), TYPES.get(kind, tarfile.REGTYPE), "/etc/passwd"
            info.mtime = rng.choice([0, 1.5, 1 << 33])
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def as_zip(rng, members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for kind, name, content in members:
            info = zipfile.ZipInfo(name + "/" * (kind == "folder"))
            info.external_attr = 0xA1FF << 16 if kind == "link" else 0
            archive.writestr(info, content, rng.choice(archives.ZIP_METHODS))
        archive.comment = rng.randbytes(rng.choice([0, 0, 30]))
    return buffer.getvalue()


def archive_files(rng, kind, path):
    members = entries(rng)
    bomb = rng.random() < 0.04
    if bomb:
        members += [("file", f"zeros{number}", bytes(60_000)) for number in range(1 + LIMIT // 60_000)]
    if kind == "zip":
        members = [entry for entry in members if entry[0] not in ("hard link", "pipe")]
        content = as_zip(rng, members)
    else:
        content = TARS[kind](as_tar(rng, members))
    bomb = bomb and archives.MAX_GROWTH * len(content) < LIMIT
    whole = bomb or rng.random() < 0.5
    content = content if whole else hurt(rng, content)
    path.write_bytes(content)
    expected = [(name, data) for kind, name, data in members if kind == "file"]
    skipped = [name for kind, name, _ in members if kind not in ("file", "folder")]
    reasons = []
    try:
        archives.check_archive(path) if whole else None
        location = path if rng.random() < 0.8 else f"file://{path}"
        read = list(archives.members(location, lambda name, reason: reasons.append((name, reason))))
    except ArchiveError as error:
        assert str(path) in str(error)
        assert not whole or bomb, error
        return False
    names = [name for name, _ in reasons]
    assert not bomb
    assert all(reason for _, reason in reasons)
    assert not any(name.startswith("/") or ".." in Path(name).parts for name, _ in read)
    if whole or kind in ("gz", "bz2", "xz"):  # whose checksums leave no damage unnoticed
        assert (read, names) == (expected, skipped)
    elif kind == "zip":  # has checksums of the members
        assert {data for _, data in read} <= {data for *_, data in members}
    else:  # has checksums of the headers
        assert len(read) + len(names) == len(expected) + len(skipped)
    return True


@cases(400, zip=400, tar=400, gz=400, bz2=400, xz=400)
def test_archives(kind, first, count, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LEAST_LIMIT", LIMIT)
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 65_000)
    run(kind, first, count, functools.partial(archive_files, path=tmp_path / "a"))


# Labels

AGES = {"30": 30.0, " 7 ": 7.0, "30.5": 30.5, "1e1": 10.0, "0": 0.0, "124": 124.0, "": None, "n/a": None, "-1": None}
BAD_AGES = ["abc", "-5", "1_0", "125", "inf", "1e400", "0x1f", "30 years", "9" * 400, "3,5", "--1", "\u00bd"]
SEXES = {"m": "male", "F": "female", " male ": "male", "?": "", "": "", "x": ""}
SETTINGS = params.Table(
    labels="", columns=params.Columns(image="file", age="years", sex="gender", identity="who", split="part"),
    classes={"sex": {"m": "male", "f": "female"}},
)  # fmt: skip


def labels_table(rng):
    """A table of labels, the records (age, sex, whether it is rejected) by image, and the images."""
    rows, expected, members = [], {}, []
    for number in range(rng.randrange(1, 12)):
        name = rng.choice(["", "b/", "é/", 'q"/', "c,d/", "e;f/"]) + f"{number}.jpg"
        age = rng.choice([*AGES, *AGES, *BAD_AGES])
        row = {"file": name, "years": age, "gender": rng.choice([*SEXES]), "who": rng.choice(WORDS)}
        rows.append({**row, "part": rng.choice(["train", "test", ""]), "note": rng.choice(WORDS)})
        there = rng.random() < 0.9
        members += [f"photos/{name}"] if there else []
        rejected = age in BAD_AGES or not there
        expected[f"photos/{name}" if there else name] = (AGES.get(age), SEXES[row["gender"]], rejected)
    return pd.DataFrame(rows, dtype=object), expected, [*members, "photos/other.png", "notes.txt"]


def as_csv(rng, rows):
    """A table written in one of many ways."""
    rows = rows[rng.sample([*rows], len(rows.columns))]
    separator, quoting = rng.choice(",;\t|"), rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    end = rng.choice(["\n", "\r\n", *["\r"] * (quoting == csv.QUOTE_ALL)])
    lines = rows.to_csv(index=False, sep=separator, quoting=quoting, lineterminator=end)
    if rng.random() < 0.2:
        lines = f"sep={separator}\r\n{lines}"
    elif rng.random() < 0.2 and quoting != csv.QUOTE_MINIMAL:
        lines = end * 2 + lines + end
    encoding = rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])
    return lines.encode(encoding, "replace" if encoding == "latin-1" else "strict"), encoding != "latin-1"


def as_parquet(rng, rows):
    buffer = io.BytesIO()
    rows = rows[rng.sample([*rows], len(rows.columns))]
    if rng.random() < 0.3:
        rows = rows.assign(note=[rng.choice([1, 2.5, None]) for _ in rows.index], who=rows["who"].astype("category"))
    rows.to_parquet(buffer, compression=rng.choice(["snappy", "gzip", "zstd", None]), index=rng.random() < 0.5)
    return buffer.getvalue(), True


def labels(rng, kind, path):
    rows, expected, members = labels_table(rng)
    content, whole = (as_parquet if kind == "parquet" else as_csv)(rng, rows)
    zipped = kind == "csv" and rng.random() < 0.2
    if rng.random() < 0.5:
        content, whole = hurt(rng, content), False
    content = gzip.compress(content) if zipped else content
    if zipped and rng.random() < 0.3:
        content, whole = hurt(rng, content), False
    path.write_bytes(content)
    settings = SETTINGS.model_copy(update={"labels": str(path)})
    try:
        read = table.read(settings, "mine")
    except ArchiveError as error:
        assert str(path) in str(error)
        assert not whole, error
        return False
    faces, unknown = table.records(read, settings, members, "photos")
    made = records.frame(faces)
    records.write(made, path.with_suffix(".out"))
    assert all(reason and count > 0 for reason, count in unknown.items())
    assert made["age"].dropna().between(0, 124).all()
    assert made["sex"].isin(["male", "female", ""]).all()
    if whole:
        got = {row.face_id: (row.age, row.sex, bool(row.reject)) for row in made.itertuples()}
        assert {name: (None if age != age else age, sex, bad) for name, (age, sex, bad) in got.items()} == expected
        assert made.equals(records.frame(table.records(rows, settings, members, "photos")[0]))
    return True


@cases(600, csv=3000, parquet=1200)
def test_labels(kind, first, count, tmp_path):
    run(kind, first, count, functools.partial(labels, path=tmp_path / "labels.csv"))


# The .mat of IMDB-WIKI

ODD = [np.nan, np.inf, -np.inf, -1.0, 0.0, 2.5, 1e300, True, "word", "", np.zeros((0, 0)), np.ones((2, 3)),
       3 + 4j, np.array([["a", "b"]], object), np.uint8(7), np.array([[{}]], object)]  # fmt: skip


def mat_file(rng):
    """A .mat, and (face id, age, sex) of each row that has no fault, None of others."""
    count = rng.randrange(1, 6)
    columns = {field: np.empty((1, count), object) for field in (*imdb_wiki.FIELDS, "celeb_id")}
    expected = []
    for row in range(count):
        year, sex = rng.randrange(1950, 2015), rng.randrange(2)
        cells = {
            "dob": 366.0 + 719163 + rng.randrange(-9000, 0), "photo_taken": float(year), "gender": float(sex),
            "full_path": f"{row:02}/{row}_é.jpg", "name": rng.choice(WORDS), "celeb_id": float(rng.randrange(9)),
            "face_location": np.array([[1.0, 2.0, 30.0, 40.0]]), "face_score": 4.5, "second_face_score": np.nan,
        }  # fmt: skip
        age = imdb_wiki.age_in(year, imdb_wiki.birth_date(cells["dob"]))
        faults = some(rng, [*cells], 0.1) if rng.random() < 0.5 else []
        cells |= {field: rng.choice(ODD) for field in faults}
        expected.append(None if faults else (f"{row:02}/{row}_é", age, ["female", "male"][sex]))
        for field, value in cells.items():
            columns[field][0, row] = value
    plain = ("dob", "photo_taken", "gender", "face_score", "second_face_score", "celeb_id")
    if rng.random() < 0.5 and None not in expected:
        columns |= {field: columns[field].astype(float) for field in plain}
    if rng.random() < 0.2:
        columns.pop("celeb_id")
    if rng.random() < 0.1:
        odd = rng.choice([*columns])
        columns[odd], expected = rng.choice([columns[odd].T, columns[odd][:, :-1], np.zeros((0, 0)), "word", {}]), None
    buffer, compressed = io.BytesIO(), rng.random() < 0.7
    scipy.io.savemat(buffer, {"wiki": columns}, do_compression=compressed)
    content, start = buffer.getvalue(), 136 if compressed else 0
    return (content, expected) if rng.random() < 0.7 else (content[:start] + hurt(rng, content[start:]), None)


def mats(rng, kind, path):
    content, expected = mat_file(rng)
    with path.open("wb") as file:
        archives.write_tar(file, [("wiki_crop/wiki.mat", content)])
    try:
        mat = imdb_wiki.read_mat(path, "wiki")
    except ArchiveError as error:
        assert str(path) in str(error)
        assert expected is None, error
        return False
    made = imdb_wiki.records(mat)
    reasons, funnel = imdb_wiki.reject_reasons(made, 0, 100, 1.0, rng.choice([None, 2.0]))
    records.write(records.frame(made.assign(reject=reasons)), path.with_suffix(".csv"))
    assert funnel[-1]["left"] == (reasons == "").sum()
    good = made[reasons == ""]
    assert good["age"].between(0, 100).all()
    assert good["sex"].isin(["male", "female"]).all()
    for row, wanted in enumerate(expected or []):
        if wanted is not None:
            assert (made["face_id"][row], made["age"][row], made["sex"][row]) == wanted
            assert made.loc[row, ["box_left", "box_bottom", "face_score"]].tolist() == [0, 39, 4.5]
            assert reasons[row] in ("", "impossible age")
    return True


@cases(500, mat=2000)
def test_mats(kind, first, count, tmp_path):
    run(kind, first, count, functools.partial(mats, path=tmp_path / "wiki.tar"))


# params.yaml

ODD_VALUES = [None, True, False, -1, 0, 1.5, 10**30, float("nan"), float("inf"), "", "no", "~", [], {}, [1, [2]],
              {"a": 1}, {1: "b"}, "x" * 300, ["age", "age"]]  # fmt: skip
ODD_LINES = ["\tseed: 1", "seed: 1", "seed: &a [*a]", "<<: {seed: 2}", "? [a, b]\n: 1", "x: !!python/none", "1: 2",
             "---", "x: !!float a", "x: 2001-99-99", "x: !!binary @", "- a", "%YAML 9.9", "'"]  # fmt: skip


def params_file(rng, kind, path, values, expected):
    values, whole = copy.deepcopy(values), rng.random() < 0.3
    places = [(None, None)]
    waiting = [values]
    while waiting:
        section = waiting.pop()
        places += [(section, key) for key in (section if isinstance(section, dict) else range(len(section)))]
        waiting += [section[key] for key in (section if isinstance(section, dict) else range(len(section)))
                    if isinstance(section[key], dict | list) and section[key]]  # fmt: skip
    for _ in range(0 if whole else rng.choice([1, 1, 1, 3])):
        section, key = rng.choice(places[1:])
        kept = key in section if isinstance(section, dict) else key < len(section)
        change = rng.choice(["value", "value", "same kind", "add", "remove"])
        if change == "add" and isinstance(section, dict):
            section[rng.choice(["size", "odd", 1, "seed"])] = rng.choice(ODD_VALUES)
        elif kept and change == "remove":
            del section[key]
        elif kept and change == "same kind" and isinstance(section[key], int | float):
            section[key] = section[key] * rng.choice([1, 2, 0.5, -1]) + rng.choice([0, 1])
        elif kept:
            section[key] = rng.choice(ODD_VALUES)
    text = yaml.safe_dump(values, sort_keys=rng.random() < 0.5, default_flow_style=rng.choice([None, True, False]))
    lines = text.splitlines()
    if not whole and rng.random() < 0.3:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(ODD_LINES))
    content = rng.choice(["\n", "\n", "\r\n"]).join(lines).encode(rng.choice(["utf-8", "utf-8", "utf-8-sig"]))
    path.write_bytes(hurt(rng, content) if not whole and rng.random() < 0.1 else content)
    try:
        read = params.load(path)
    except params.ParamsError as error:
        assert not whole, error
        assert str(path) in str(error)
        return "not readable" not in str(error)
    assert isinstance(read, params.Params)
    assert not whole or read == expected
    return True


@cases(500, params=3000)
def test_params(kind, first, count, tmp_path):
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    expected = params.load(ROOT / "params.yaml")
    check = functools.partial(params_file, path=tmp_path / "params.yaml", values=values, expected=expected)
    run(kind, first, count, check)


# Requests to the model server, and uploads to the app


@functools.cache
def portrait():
    return Image.fromarray(skimage.data.astronaut()).crop((130, 0, 330, 200))


def photo_file(rng):
    """A file as users send it, and whether it is surely a photo with a face, which is a woman's."""
    kind = rng.choice(["face", "face", "image", "hurt", "text"])
    if kind == "text":
        return rng.choice(WORDS).encode(), False
    if kind == "face":
        image = portrait().convert(rng.choice(["RGB", "RGBA", "L"]))
        return encoded(image, rng.choice(["PNG", "WEBP", "TIFF"])), True
    content = image_file(rng, rng.choice([*MODES]))[0] if kind == "image" else hurt(rng, encoded(portrait()))
    return content, False


def as_text(rng, content):
    text = base64.b64encode(content).decode()
    return rng.choice([text, text, f"data:image/png;base64,{text}", text.translate(str.maketrans("+/", "-_"))])


def request_body(rng, texts):
    """A body in one of the forms that MLflow takes for a column of text."""
    return rng.choice([
        {"dataframe_split": {"columns": ["image"], "data": [[text] for text in texts]}},
        {"dataframe_split": {"index": [*range(len(texts))], "columns": ["image"], "data": [[text] for text in texts]}},
        {"dataframe_records": [{"image": text} for text in texts]},
        {"inputs": {"image": texts}},
        {"inputs": [{"image": text} for text in texts]},
        {"instances": [{"image": text} for text in texts]},
    ])  # fmt: skip


def ask(rng, kind, port):
    files = [photo_file(rng) for _ in range(rng.choice([1, 1, 2, 3]))]
    body = request_body(rng, [as_text(rng, content) for content, _ in files])
    if rng.random() < 0.2:
        body["params"] = {"cropped": rng.random() < 0.5}
    content, whole = json.dumps(body).encode(), rng.random() < 0.6
    if not whole:
        content = hurt(rng, content)
    headers = {"Content-Type": "application/json"}
    response = requests.post(f"http://127.0.0.1:{port}/invocations", content, headers=headers, timeout=60)
    assert response.status_code in ((200,) if whole else (200, 400)), f"{response.status_code} {response.text[:400]}"
    if response.status_code != 200:
        assert "Traceback" not in response.text
        return False
    rows = json.loads(response.text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))["predictions"]
    for number, (_, has_face) in enumerate(files if whole else []):
        own = [row for row in rows if row["image"] == number]
        assert own
        assert all(row["error"] or row["age"] is not None for row in own)
        assert not has_face or [row["error"] for row in own] == [""]
    return True


def server_memory():
    """Bytes of the largest process that this one started."""
    return max((child.memory_info().rss for child in psutil.Process().children(recursive=True)), default=0)


@cases(400, request=800)
def test_requests(kind, first, count):
    with servers.served_model(ROOT) as port:
        run(kind, first, count, functools.partial(ask, port=port), server_memory)


def upload(rng, kind):
    from streamlit.testing.v1 import AppTest

    content, has_face = photo_file(rng)
    name = rng.choice(["a", "é b", "**a**", "<b>", "$x$", "../a", "y" * 200]) + rng.choice(archives.IMAGE_SUFFIXES)
    page = AppTest.from_file(ROOT / "app/main.py", default_timeout=60).run()
    page.file_uploader[0].set_value((name, content, "image/jpeg"))
    page.run()
    if rng.random() < 0.3:
        page.toggle(key=rng.choice(["cropped", "ethnicity"])).set_value(True).run()
    assert not page.exception
    errors = [error.value.replace("\\", "") for error in page.error]  # Markdown is escaped
    assert all(error.startswith(name) for error in errors), errors
    assert not has_face or any("years" in text.value for text in page.markdown)
    return not errors


@cases(100, upload=200)
def test_uploads(kind, first, count, tmp_path, monkeypatch):
    monkeypatch.chdir(browser.cloned(tmp_path))
    run(kind, first, count, upload)
