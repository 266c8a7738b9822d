"""Reading archives where they lie: their members in order, nothing unpacked to disk; and checking them."""

import contextlib
import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

MAGIC = {".gz": b"\x1f\x8b", ".zip": b"PK\x03\x04"}
CHUNK = 1 << 20


class ArchiveError(Exception):
    """An archive that is not what it should be; the message names it and the remedy."""


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each regular file in a tar archive, compressed or not, in its order.

    Links, devices and folders are passed over. Raises ArchiveError where the archive breaks off.
    """
    try:
        with _opener(path)(path, "rb") as file, tarfile.open(fileobj=file, mode="r|") as archive:
            for info in archive:
                if info.isfile():
                    yield info.name, archive.extractfile(info).read()
            while file.read(CHUNK):  # to the checksum at the end, which tells a truncated archive
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ArchiveError(f"{path}: is damaged ({error}): remove it and run the download again") from error


def _opener(path: Path) -> Callable:
    with path.open("rb") as file:
        return gzip.open if file.read(2) == MAGIC[".gz"] else open


@contextlib.contextmanager
def member(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open the first file called `name`, in whatever folder of a tar archive."""
    for found, content in members(path):
        if PurePosixPath(found).name == name:
            yield io.BytesIO(content)
            return
    raise ArchiveError(f"{path}: holds no {name}")


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
        head = file.read(512)
    expected = MAGIC.get(PurePosixPath(name).suffix)
    right = head.startswith(expected) if expected else head[257:262] == b"ustar"
    if not right:
        what = "a web page" if head.lstrip()[:1] == b"<" else f"something that begins with {head[:8]!r}"
        raise ArchiveError(f"{name}: not an archive but {what}: the address answers with something else")
