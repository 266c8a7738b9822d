"""Reading archives in place: their members in order, with nothing unpacked to disk; and checking them."""

import gzip
import hashlib
import html
import io
import json
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import fsspec

MAGIC = {".gz": b"\x1f\x8b", ".zip": b"PK\x03\x04"}
CHUNK = 1 << 20
MAX_MEMBER_BYTES = 1 << 30
PROVENANCE = "provenance.json"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".bmp", ".tif", ".tiff", ".gif")

Location = Path | str  # of an archive: a file, or an address that fsspec reads
OnSkip = Callable[[str, str], None]


class ArchiveError(SystemExit):
    """An archive that is not as expected; the message names it and the remedy, and ends a stage."""


def list_archives(folder: Path) -> list[Location]:
    """List the archives of a folder under data/raw in the order of its provenance, those read in place too.

    Raises ArchiveError where an archive that is read in place is missing or has another size than before.
    """
    entries = json.loads((folder / PROVENANCE).read_text())["archives"]
    for entry in entries:
        before = entry.get("size")
        size = file_size(entry["address"]) if "address" in entry else before
        if size != before:
            fault = f"has {size} bytes, before it had {before}" if size is not None else "no longer exists"
            raise ArchiveError(f"{entry['address']}: {fault}: `make fetch` reads it again")
    return [entry.get("address") or folder / entry["name"] for entry in entries]


def open_archive(location: Location) -> BinaryIO:
    """Open an archive for reading. Raises OSError."""
    return location.open("rb") if isinstance(location, Path) else fsspec.open(location, "rb").open()


def file_size(address: str) -> int | None:
    """Bytes of a file at an address that fsspec reads, None where there is none. Raises ArchiveError."""
    try:
        files, path = fsspec.core.url_to_fs(address)
        info = files.info(path)
    except FileNotFoundError:
        return None
    except Exception as error:  # each file system of fsspec raises errors of its own
        raise ArchiveError(f"{address}: cannot be read ({type(error).__name__}: {error})") from error
    return info["size"] if info["type"] == "file" else None


def members(path: Location, on_skip: OnSkip = lambda name, reason: None) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file in a tar, tar.gz or zip archive, in its order.

    A member that is not a regular file, whose name leads out of the archive, or that is absurdly large is skipped:
    `on_skip(name, reason)` is called instead. Raises ArchiveError where the archive is damaged.
    """
    try:
        with open_archive(path) as file:
            zipped = zipfile.is_zipfile(file)
        yield from (_zip_members if zipped else _tar_members)(path, on_skip)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, zlib.error) as error:
        raise ArchiveError(f"{path}: is damaged ({error}): check its source, then run `make fetch`") from error
    except Exception as error:  # each file system of fsspec raises errors of its own
        if isinstance(path, Path):
            raise
        raise ArchiveError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error


def _tar_members(path: Location, on_skip: OnSkip) -> Iterator[tuple[str, bytes]]:
    with open_archive(path) as start:
        zipped = start.read(2) == MAGIC[".gz"]
    with (
        open_archive(path) as plain,
        gzip.open(plain) if zipped else plain as file,
        tarfile.open(fileobj=file, mode="r|") as archive,
    ):
        for info in archive:
            _forget(archive)
            content = archive.extractfile(info) if info.isfile() else None
            kind = "a link" if info.islnk() or info.issym() else "a device"
            reason = _skip_reason(info.name, info.size) if content else f"is {kind}"
            if content and not reason:
                yield info.name, content.read()
            elif not info.isdir():
                on_skip(info.name, reason)
        while file.read(CHUNK):  # up to the checksum at the end, which reveals a truncated archive
            pass


def _forget(archive: tarfile.TarFile) -> None:
    """Drop the headers that a tarfile keeps of every member; from Python 3.13 on, `stream=True` does."""
    archive.members.clear()  # type: ignore[attr-defined]


def write_tar(file: BinaryIO | gzip.GzipFile, content: Iterable[tuple[str, bytes]], mtime: int = 0) -> None:
    """Write (name, content) of files as a tar; the same arguments give the same bytes. mtime: seconds since 1970."""
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in content:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), 0o644, mtime
            archive.addfile(info, io.BytesIO(data))
            _forget(archive)


def _zip_members(path: Location, on_skip: OnSkip) -> Iterator[tuple[str, bytes]]:
    with open_archive(path) as file, zipfile.ZipFile(file) as archive:
        seen = set()
        for info in archive.infolist():
            key = (PurePosixPath(info.filename).name, info.CRC, info.file_size)
            if info.is_dir() or key in seen:  # the UTKFace zip of Kaggle holds every image twice
                continue
            seen.add(key)
            reason = "is a link" if (info.external_attr >> 28) == 0xA else _skip_reason(info.filename, info.file_size)
            if reason:
                on_skip(info.filename, reason)
            else:
                yield info.filename, archive.read(info)


def _skip_reason(name: str, size: int) -> str:
    """Why a member is skipped, by its name and size; empty where it is not."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return "has a name that leads out of the archive"
    return f"is too large ({size / 1e9:.1f} GB)" if size > MAX_MEMBER_BYTES else ""


def open_member(path: Location, name: str) -> BinaryIO:
    """Open the first file called `name` in any folder of an archive."""
    for member, content in members(path):
        if PurePosixPath(member).name == name:
            return io.BytesIO(content)
    raise ArchiveError(f"{path}: contains no {name}")


def pack_folder(folder: Path, path: Path) -> None:
    """Write the files of a folder as a tar archive; the same files give the same bytes."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    with path.open("wb") as archive:
        write_tar(archive, ((file.relative_to(folder.parent).as_posix(), file.read_bytes()) for file in files))


def checksums(path: Location) -> dict[str, str]:
    """Return {md5, sha256} of a file, in hexadecimal."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open_archive(path) as file:
        while chunk := file.read(CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def check_magic(path: Location, name: str) -> None:
    """Raise ArchiveError unless the first bytes of `path` are those of an archive called `name`."""
    with open_archive(path) as file:
        head = file.read(4096)
    expected = MAGIC.get(PurePosixPath(name).suffix)
    if head.startswith(expected) if expected else head[257:262] == b"ustar":
        return
    content = f"something that begins with {head[:8]!r}" if head else "an empty file"
    if head.lstrip()[:1] == b"<":
        match = re.search(rb"<title>(.*?)</title>", head, re.IGNORECASE | re.DOTALL)
        title = html.unescape(match[1].decode("utf-8", "replace")).strip() if match else "untitled"
        content = f'a web page ("{title}")'
    raise ArchiveError(f"is not an archive but {content}")
