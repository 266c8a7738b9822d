"""Reading archives in place: their members in order, with nothing unpacked to disk; and checking them."""

import bz2
import functools
import gzip
import hashlib
import html
import io
import json
import lzma
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import fsspec

ZIP = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")  # first bytes of a zip; the second of an empty one
COMPRESSED: dict[bytes, Callable] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}  # of tars
UNREADABLE = {b"Rar!": "a RAR", b"7z\xbc\xaf": "a 7z", b"\x28\xb5\x2f\xfd": "a Zstandard", b"\x1f\x9d": "a .Z"}
ZIP_KINDS = {0xA: "is a link", 0x1: "is a device", 0x2: "is a device", 0x6: "is a device", 0xC: "is a device"}
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
AGAIN = "unpack it, and name the folder, or make a zip or tar.gz of it"
CHUNK = 1 << 20
PIECE, SMALL_PIECE = 4096, 64  # bytes of a zip's member that are read at a time; of BZIP2 and LZMA the compressed ones
MAX_MEMBER_BYTES = 256 << 20
MAX_MEMBERS = 2_000_000  # IMDB has 460,723
MAX_DIRECTORY = 64 * MAX_MEMBERS  # bytes of a zip's list of members, which Python reads whole
MAX_HEADER = 1 << 20  # bytes of what a tar says of one member
MAX_GROWTH = 200  # times the archive's own size, that its members may have together; and LEAST_LIMIT bytes in any case
LEAST_LIMIT = 512 << 20
OUTSIDE = re.compile(r"[/\\]|[A-Za-z]:")  # start of an absolute name, also of Windows
CONTROL = re.compile(r"[\0-\x1f\x7f]")
PROVENANCE = "provenance.json"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".heic", ".heif", ".hif", ".avif", ".bmp",
                  ".dib", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".pnm")  # fmt: skip
SYSTEM_NAMES = (
    "__macosx",
    "@eadir",
    "thumbs.db",
    "desktop.ini",
    "lost+found",
)  # of files and folders that systems add
LFS = b"version https://git-lfs"  # first bytes of a pointer
LFS_FAULT = "a pointer of Git LFS, not the file: type `git lfs pull` where it is from"

Location = Path | str  # of an archive: a file, or an address that fsspec reads
OnSkip = Callable[[str, str], None]


class ArchiveError(SystemExit):
    """An archive that is not as expected; the message names it and the remedy, and ends a stage."""


def list_archives(folder: Path) -> list[Location]:
    """List the archives of a folder under data/raw in the order of its provenance, those read in place too.

    Raises ArchiveError where nothing was downloaded, or an archive that is read in place is missing or has another size
    than before.
    """
    if not (folder / PROVENANCE).exists():
        raise ArchiveError(f"{folder}: nothing was downloaded yet: run `dvc repro`")
    entries = _entries(folder)
    for entry in entries:
        before = entry.get("size")
        size = file_size(entry["address"]) if "address" in entry else before
        if size != before:
            fault = f"has {size} bytes, before it had {before}" if size is not None else "no longer exists"
            raise ArchiveError(f"{entry['address']}: {fault}: `make fetch` reads it again")
    return [entry.get("address") or folder / entry["name"] for entry in entries]


def sources(folder: Path) -> list[str | None]:
    """The sha256 of the table that each archive of a folder under data/raw was made from; None of other archives."""
    return [entry.get("made_from") for entry in _entries(folder)]


def _entries(folder: Path) -> list[dict]:
    return json.loads((folder / PROVENANCE).read_text())["archives"]


def open_archive(location: Location) -> BinaryIO:
    """Open an archive for reading. Raises OSError."""
    if isinstance(location, Path):
        return location.open("rb")
    return fsspec.open(location, "rb", **_options(location)).open()


def _options(address: str) -> dict:
    """Options of fsspec for an address."""
    if not address.startswith(("http://", "https://")):
        return {}
    from faces.runtime import redirects  # here, since few commands need it

    return redirects.fsspec_options()


def file_size(address: str) -> int | None:
    """Bytes of a file at an address that fsspec reads, None where there is none. Raises ArchiveError."""
    try:
        files, path = fsspec.core.url_to_fs(address, **_options(address))
        info = files.info(path)
    except FileNotFoundError as error:
        if isinstance(error.__cause__, ValueError):  # fsspec's for a redirect that is not followed
            raise ArchiveError(f"{address}: {error.__cause__}") from error
        return None
    except Exception as error:  # each file system of fsspec raises errors of its own
        raise ArchiveError(f"{address}: cannot be read ({type(error).__name__}: {error})") from error
    return info["size"] if info["type"] == "file" else None


def members(path: Location, on_skip: OnSkip = lambda name, reason: None) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file in a zip, or a tar that may be compressed, in its order.

    A member that is not a regular file, whose name leads out of the archive or cannot be printed, or that is absurdly
    large is skipped: `on_skip(name, reason)` is called instead. Archives in an archive are not opened. Raises
    ArchiveError where the archive is damaged, cannot be read, or grows absurdly large.
    """
    try:
        with open_archive(path) as file:
            zipped = file.read(4) in ZIP
        yield from (_zip_members if zipped else _tar_members)(path, on_skip)
    except Exception as error:  # the decoders, and each file system of fsspec, raise errors of their own
        damaged = isinstance(path, Path) and not getattr(error, "errno", None)
        fault = f"is damaged ({error})" if damaged else f"cannot be read ({type(error).__name__}: {error})"
        raise ArchiveError(f"{path}: {fault}: check its source, then run `make fetch`") from error


class _Limited:
    """A decompressed tar, of which no more than `left` bytes are read, and `ahead` up to the next member's content."""

    def __init__(self, file: BinaryIO, left: int, path: Location) -> None:
        self.file, self.left, self.ahead, self.path = file, left, MAX_HEADER, path

    def read(self, size: int) -> bytes:
        content = self.file.read(size)
        self.left -= len(content)
        self.ahead -= len(content)
        if self.left < 0:
            raise _bomb(self.path)
        if self.ahead < 0:
            raise ArchiveError(f"{self.path}: has a header of more than {MAX_HEADER >> 20} MiB: {AGAIN}")
        return content


class _ZipSource:
    """An open zip, whose list of members is not read where it is absurdly long."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY:
            raise zipfile.BadZipFile(f"lists its members in {size / 1e6:.0f} MB, above {MAX_DIRECTORY / 1e6:.0f}")
        return self.file.read(size)


def _bomb(path: Location) -> ArchiveError:
    return ArchiveError(f"{path}: holds more than {MAX_GROWTH} times its own size, as a decompression bomb does")


def _check_count(path: Location, count: int) -> None:
    """Raise ArchiveError where an archive has too many members."""
    if count > MAX_MEMBERS:
        raise ArchiveError(f"{path}: has more than {MAX_MEMBERS:,} members: divide it into several archives")


def _limit(path: Location) -> int:
    """Most bytes that an archive's members may have together."""
    size = path.stat().st_size if isinstance(path, Path) else file_size(path) or 0
    return max(LEAST_LIMIT, MAX_GROWTH * size)


def _open_tar(file: BinaryIO) -> BinaryIO:
    """The tar in an open file, decompressed while it is read."""
    head = file.read(6)
    file.seek(0)
    return next((opener(file) for start, opener in COMPRESSED.items() if head.startswith(start)), file)


def _tar_members(path: Location, on_skip: OnSkip) -> Iterator[tuple[str, bytes]]:
    with open_archive(path) as file, _open_tar(file) as plain:
        limited = _Limited(plain, _limit(path), path)
        with tarfile.open(fileobj=limited, mode="r|", tarinfo=_Header) as archive:  # type: ignore[call-overload]
            for number, info in enumerate(archive, 1):
                _forget(archive)
                _check_count(path, number)
                skipped_over = info.isfile() or info.type not in tarfile.SUPPORTED_TYPES
                limited.ahead = MAX_HEADER + (info.size if skipped_over else 0)
                if info.issparse():  # its size is what it claims, not what the archive holds
                    raise ArchiveError(f"{path}: its member {info.name} is sparse, which is not read: {AGAIN}")
                name = readable(info.name.encode("utf-8", "surrogateescape"))
                content = archive.extractfile(info) if info.isfile() else None
                kind = "a link" if info.islnk() or info.issym() else "a device"
                reason = _skip_reason(name, info.size) if content else f"is {kind}"
                if content and not reason:
                    yield name, content.read()
                elif not info.isdir():
                    on_skip(name, reason)
            limited.ahead = limited.left
            while rest := archive.fileobj.read(CHUNK):  # up to the checksum at the end, which reveals truncation
                if rest.strip(b"\0"):
                    raise tarfile.ReadError("there is more after the mark of its end")


class _Header(tarfile.TarInfo):
    """A header of a tar. tarfile itself takes a broken or missing one for the end, and so loses the rest in silence."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> "_Header":
        try:
            return super().fromtarfile(tarfile_)  # type: ignore[return-value]
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {tarfile_.offset}") from None


def readable(name: bytes) -> str:
    """A member's name as text: UTF-8, else CP437, of which `spellings` finds what else it may mean."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437")


def _forget(archive: tarfile.TarFile) -> None:
    """Drop the headers that a tarfile keeps of every member; from Python 3.13 on, `stream=True` does."""
    archive.members.clear()  # type: ignore[attr-defined]


def write_tar(file: BinaryIO | gzip.GzipFile, content: Iterable[tuple[str, bytes]], mtime: int = 0) -> None:
    """Write (name, content) of files as a tar; the same arguments give the same bytes. mtime: seconds since 1970."""
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in content:
            _add(archive, name, len(data), io.BytesIO(data), mtime)


def _add(archive: tarfile.TarFile, name: str, size: int, content: BinaryIO, mtime: int = 0) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, mtime
    archive.addfile(info, content)
    _forget(archive)


def _zip_members(path: Location, on_skip: OnSkip) -> Iterator[tuple[str, bytes]]:
    with open_archive(path) as file, _open_zip(file) as archive:
        _check_count(path, len(archive.infolist()))
        files = [info for info in archive.infolist() if not info.is_dir()]
        if sum(info.file_size for info in files) > _limit(path):
            raise _bomb(path)
        for info in files:
            if fault := _fault(info):
                raise ArchiveError(f"{path}: {fault}")
            marked = info.flag_bits & 0x800  # as UTF-8; where it is not, Python reads CP437
            name = info.filename if marked else readable(info.filename.encode("cp437"))
            kind = ZIP_KINDS.get(info.external_attr >> 28, "")
            if reason := kind or _skip_reason(name, info.file_size):
                on_skip(name, reason)
            else:
                yield name, _read_member(archive, info)


def _open_zip(file: BinaryIO) -> zipfile.ZipFile:
    return zipfile.ZipFile(_ZipSource(file))  # type: ignore[call-overload]


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member, read piece by piece: its stated size may be false, and zipfile decompresses what it reads at once."""
    with archive.open(info) as member:
        size = PIECE
        if info.compress_type in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):  # 64 bytes of BZIP2 may be 90 MB
            member.MIN_READ_SIZE = size = SMALL_PIECE  # type: ignore[attr-defined]
        return b"".join(iter(functools.partial(member.read, size), b""))


def _fault(info: zipfile.ZipInfo) -> str:
    """Why Python cannot read a member of a zip, with the remedy; '' where it can."""
    method = "Deflate64" if info.compress_type == 9 else f"method {info.compress_type}"
    fault = "is encrypted" if info.flag_bits & 1 else ""
    if info.compress_type not in ZIP_METHODS:
        fault = f"is compressed by {method}, which Python cannot read"
    return f"its member {info.filename} {fault}: {AGAIN}" if fault else ""


def _skip_reason(name: str, size: int) -> str:
    """Why a member is skipped, by its name and size; empty where it is not."""
    if OUTSIDE.match(name) or ".." in re.split(r"[/\\]", name):
        return "has a name that leads out of the archive"
    if CONTROL.search(name):
        return "has a name with control characters"
    return f"is too large ({size / 1e9:.1f} GB)" if size > MAX_MEMBER_BYTES else ""


def open_member(path: Location, name: str) -> io.BytesIO:
    """Open the first file called `name` in any folder of an archive."""
    for member, content in members(path):
        if PurePosixPath(member).name == name:
            return io.BytesIO(content)
    raise ArchiveError(
        f"{path}: contains no {name}: take the archive as its publisher has it, or put {name} in the folder"
    )


def is_hidden(path: PurePosixPath | Path) -> bool:
    """Whether a file or folder below the top of an archive or folder is hidden, or made by the system: `._a.jpg`."""
    return any(part.startswith(".") or part.casefold() in SYSTEM_NAMES for part in path.parts)


def pack_folder(folder: Path, path: Path) -> None:
    """Write the files of a folder, also those behind links, as a tar archive; the same files give the same bytes.

    Members are named by their path below the folder, whose own name does not matter. Hidden files are left out.
    A folder that is also behind links is read once. Raises ArchiveError where it has a link that leads nowhere, or what
    may not be read.
    """
    files: list[Path] = []
    broken: list[Path] = []
    top = os.path.realpath(folder)
    inside = {place for place, _, _ in _walk(top, links=False)}
    seen = set()
    for place, folders, names in _walk(top, links=True):
        real = os.path.realpath(place)
        if real in seen or (real in inside and real != place):  # a link to a folder that is read without it
            folders.clear()
            continue
        seen.add(real)
        paths = [Path(place, name) for name in names]
        paths = [path for path in paths if not is_hidden(path.relative_to(top))]
        files += [path for path in paths if path.is_file()]
        broken += [path for path in paths if path.is_symlink() and not path.exists()]
    if broken:
        raise ArchiveError(f"{broken[0]}: is a link that leads nowhere, one of {len(broken)}: restore or remove them")
    with tarfile.open(path, "w") as archive:
        for file in sorted(files):
            try:
                with file.open("rb") as content:
                    _add(archive, file.relative_to(top).as_posix(), file.stat().st_size, content)
            except PermissionError as error:
                _unreadable(error)


def _walk(top: str, links: bool) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk as os.walk does, in the order of names, past hidden folders. Raises ArchiveError for an unreadable one."""
    for place, folders, names in os.walk(top, onerror=_unreadable, followlinks=links):
        folders[:] = sorted(name for name in folders if not is_hidden(PurePosixPath(name)))
        yield place, folders, names


def _unreadable(error: OSError) -> None:
    raise ArchiveError(f"{error.filename}: cannot be read ({error.strerror}): permit it, or move it away")


def checksums(path: Location) -> dict[str, str]:
    """Return {md5, sha256} of a file, in hexadecimal."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open_archive(path) as file:
        while chunk := file.read(CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def check_archive(path: Location) -> None:
    """Raise ArchiveError unless a file is an archive that `members` can read; of a tar, only the beginning is read."""
    with open_archive(path) as file:
        head = file.read(4096)
        try:
            if head[:4] in ZIP:
                for fault in map(_fault, _open_zip(file).infolist()):
                    if fault:
                        raise ArchiveError(fault)
            else:
                file.seek(0)
                tarfile.TarInfo.frombuf(_open_tar(file).read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
            return
        except Exception as error:  # noqa: BLE001 - the decoders raise errors of their own
            reason = error
    if head.startswith((*ZIP, *COMPRESSED)):
        raise ArchiveError(f"is damaged, or holds no tar ({reason})")
    content = f"something that begins with {head[:8]!r}" if head else "an empty file"
    if head.startswith(LFS):
        content = LFS_FAULT
    if head.lstrip()[:1] == b"<":
        match = re.search(rb"<title>(.*?)</title>", head, re.IGNORECASE | re.DOTALL)
        title = html.unescape(match[1].decode("utf-8", "replace")).strip() if match else "untitled"
        content = f'a web page ("{title}")'
    for start, name in UNREADABLE.items():
        if head.startswith(start):
            raise ArchiveError(f"is {name} archive, which Python cannot read: {AGAIN}")
    raise ArchiveError(f"is not an archive but {content}")
