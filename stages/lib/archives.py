"""Reading archives where they lie: their members in order, nothing unpacked to disk; and checking them."""

import contextlib
import gzip
import hashlib
import html
import io
import json
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

MAGIC = {".gz": b"\x1f\x8b", ".zip": b"PK\x03\x04"}
CHUNK = 1 << 20
LARGEST = 1 << 30  # bytes of one member
PROVENANCE = "provenance.json"

Passed = Callable[[str, str], None]


class ArchiveError(SystemExit):
    """An archive that is not what it should be; the message names it and the remedy, and ends a stage."""


def of(folder: Path) -> list[Path]:
    """The archives of a folder under data/raw, in the order that download noted."""
    noted = json.loads((folder / PROVENANCE).read_text())
    return [folder / row["name"] for row in noted["archives"]]


def members(path: Path, passed: Passed = lambda name, reason: None) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file in a tar, tar.gz or zip archive, in its order.

    What is no plain file, has a name that leads out of the archive or is absurdly large is told to
    `passed(name, reason)` instead. Raises ArchiveError where the archive is damaged.
    """
    try:
        yield from (_zip_members if zipfile.is_zipfile(path) else _tar_members)(path, passed)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, zlib.error) as error:
        raise ArchiveError(f"{path}: is damaged ({error}): look at where it came from, then `make refetch`") from error


def _tar_members(path: Path, passed: Passed) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as file:
        opener = gzip.open if file.read(2) == MAGIC[".gz"] else open
    with opener(path, "rb") as file, tarfile.open(fileobj=file, mode="r|") as archive:
        for info in archive:
            archive.members.clear()  # it would keep every member's header
            if info.isdir():
                continue
            reason = "is a link" if info.islnk() or info.issym() else "" if info.isfile() else "is a device"
            reason = reason or _unfit(info.name, info.size)
            if reason:
                passed(info.name, reason)
            else:
                yield info.name, archive.extractfile(info).read()
        while file.read(CHUNK):  # to the checksum at the end, which tells a truncated archive
            pass


def _zip_members(path: Path, passed: Passed) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        seen = set()
        for info in archive.infolist():
            same = (PurePosixPath(info.filename).name, info.CRC, info.file_size)
            if info.is_dir() or same in seen:  # the UTKFace zip of Kaggle holds every picture twice
                continue
            seen.add(same)
            reason = "is a link" if (info.external_attr >> 28) == 0xA else _unfit(info.filename, info.file_size)
            if reason:
                passed(info.filename, reason)
            else:
                yield info.filename, archive.read(info)


def _unfit(name: str, size: int) -> str:
    """Why a member cannot be used, by its name and size; empty where it can."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return "has a name that leads out of the archive"
    return f"is too large ({size / 1e9:.1f} GB)" if size > LARGEST else ""


@contextlib.contextmanager
def member(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open the first file called `name`, in whatever folder of an archive."""
    for found, content in members(path):
        if PurePosixPath(found).name == name:
            yield io.BytesIO(content)
            return
    raise ArchiveError(f"{path}: holds no {name}")


def pack_folder(folder: Path, path: Path) -> None:
    """Write the files of a folder as a tar archive; the same files give the same bytes."""
    with tarfile.open(path, "w") as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = tarfile.TarInfo(str(PurePosixPath(folder.name, *file.relative_to(folder).parts)))
            info.size, info.mode = file.stat().st_size, 0o644
            with file.open("rb") as content:
                archive.addfile(info, content)
            archive.members.clear()


def checksums(path: Path) -> dict[str, str]:
    """Return {md5, sha256} of a file, in hexadecimal."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def check_magic(path: Path, name: str) -> None:
    """Raise ArchiveError unless the first bytes of `path` are those of an archive called `name`."""
    with path.open("rb") as file:
        head = file.read(4096)
    expected = MAGIC.get(PurePosixPath(name).suffix)
    if head.startswith(expected) if expected else head[257:262] == b"ustar":
        return
    what = f"something that begins with {head[:8]!r}" if head else "an empty file"
    if head.lstrip()[:1] == b"<":
        title = re.search(rb"<title>(.*?)</title>", head, re.IGNORECASE | re.DOTALL)
        shown = html.unescape(title[1].decode("utf-8", "replace")).strip() if title else "untitled"
        what = f'a web page ("{shown}")'
    raise ArchiveError(f"gives no archive but {what}")
