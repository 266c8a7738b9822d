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

import fsspec

MAGIC = {".gz": b"\x1f\x8b", ".zip": b"PK\x03\x04"}
CHUNK = 1 << 20
LARGEST = 1 << 30  # bytes of one member
PROVENANCE = "provenance.json"
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".bmp", ".tif", ".tiff", ".gif")

Passed = Callable[[str, str], None]


class ArchiveError(SystemExit):
    """An archive that is not what it should be; the message names it and the remedy, and ends a stage."""


Place = Path | str  # of an archive: a file, or an address that fsspec reads


def of(folder: Path) -> list[Place]:
    """The archives of a folder under data/raw, in the order that download noted; those that lie elsewhere, too.

    Raises ArchiveError where one that lies elsewhere is not there any more, or of another size than it was.
    """
    noted = json.loads((folder / PROVENANCE).read_text())["archives"]
    for row in noted:
        if "address" in row:
            found = size_of(row["address"])
            if found != row["size"]:
                was = f"of {found} bytes, and was of {row['size']}" if found is not None else "not there any more"
                raise ArchiveError(f"{row['address']}: is {was}: `make refetch` looks at it again")
    return [row.get("address") or folder / row["name"] for row in noted]


def opened(place: Place) -> BinaryIO:
    """An archive, to be read and closed. Raises OSError."""
    return place.open("rb") if isinstance(place, Path) else fsspec.open(place, "rb").open()


def name_of(place: Place) -> str:
    """Name of an archive, without where it is."""
    return PurePosixPath(str(place)).name


def size_of(address: str) -> int | None:
    """Bytes of a file at an address that fsspec reads, None where there is none. Raises ArchiveError."""
    try:
        files, path = fsspec.core.url_to_fs(address)
        found = files.info(path)
    except FileNotFoundError:
        return None
    except Exception as error:  # each kind of address has faults of its own
        raise ArchiveError(f"{address}: cannot be looked at ({type(error).__name__}: {error})") from error
    return found["size"] if found["type"] == "file" else None


def members(path: Place, passed: Passed = lambda name, reason: None) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file in a tar, tar.gz or zip archive, in its order.

    What is no plain file, has a name that leads out of the archive or is absurdly large is told to
    `passed(name, reason)` instead. Raises ArchiveError where the archive is damaged.
    """
    try:
        with opened(path) as file:
            zipped = zipfile.is_zipfile(file)
        yield from (_zip_members if zipped else _tar_members)(path, passed)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, zlib.error) as error:
        raise ArchiveError(f"{path}: is damaged ({error}): look at where it came from, then `make refetch`") from error
    except Exception as error:  # each kind of address has faults of its own
        if isinstance(path, Path):
            raise
        raise ArchiveError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error


def _tar_members(path: Place, passed: Passed) -> Iterator[tuple[str, bytes]]:
    with opened(path) as file:
        zipped = file.read(2) == MAGIC[".gz"]
    with (
        opened(path) as plain,
        gzip.open(plain) if zipped else plain as file,
        tarfile.open(fileobj=file, mode="r|") as archive,
    ):
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


def _zip_members(path: Place, passed: Passed) -> Iterator[tuple[str, bytes]]:
    with opened(path) as file, zipfile.ZipFile(file) as archive:
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
def member(path: Place, name: str) -> Iterator[BinaryIO]:
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


def checksums(path: Place) -> dict[str, str]:
    """Return {md5, sha256} of a file, in hexadecimal."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with opened(path) as file:
        while chunk := file.read(CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def check_magic(path: Place, name: str) -> None:
    """Raise ArchiveError unless the first bytes of `path` are those of an archive called `name`."""
    with opened(path) as file:
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
