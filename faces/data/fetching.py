"""Bring a file here from an address: goes on with a part, is patient with bad lines, judges no content."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import gdown
import requests
from gdown.exceptions import DownloadError, FileURLRetrievalError

from faces.runtime import progress

TIMEOUT = (20.0, 60.0)  # seconds to connect, and seconds without a byte
TRIES = 5  # in a row that bring no byte
WAIT = 2.0  # seconds before another try; doubles with each that brings nothing
CHUNK = 1 << 20
PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers that may be other ones a little later


class FetchError(Exception):
    """An address that did not give its file; the message says why."""


def fetch(address: str, folder: Path, name: str, size: int | None = None) -> Path:
    """Bring `address` to folder/name and return that; http(s), Google Drive, a path, or any address of fsspec.

    size: in bytes, where known. What an earlier call has brought is kept in the folder and not fetched again. A line
    that breaks or falls silent is tried again. Raises FetchError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.exists():
        return path
    check_room(folder, (size or 0) - brought(folder))
    one = _web if address.startswith(("http://", "https://")) else _other
    tries = 0
    while True:
        had = brought(folder)
        try:
            with progress.meter(name) as tell:
                one(address, path, tell)
            return path
        except FetchError:
            shutil.rmtree(folder)
            raise
        except _Passing as fault:
            tries = 1 if brought(folder) > had else tries + 1
            if tries >= TRIES:
                raise FetchError(f"{fault} ({TRIES} tries; {brought(folder) / 1e6:.1f} MB are kept)") from None
            wait = WAIT * 2 ** (tries - 1)
            progress.say(f"{name}: {fault}; trying again in {wait:.0f} s")
            time.sleep(wait)


def brought(folder: Path) -> int:
    """Bytes that a folder holds."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def check_room(folder: Path, size: int) -> None:
    """Raise FetchError where a folder's disk has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise FetchError(f"needs {size / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free on the disk of {folder}")


class _Passing(Exception):
    """A fault that another try may not meet."""


def _web(address: str, path: Path, tell: Callable[[int, int | None], None]) -> None:
    """One try at an address of the web; parts lie beside `path`."""
    try:
        gdown.download(address, str(path), quiet=True, use_cookies=False, resume=True, timeout=TIMEOUT, progress=tell)
    except FileURLRetrievalError as error:
        raise FetchError(" ".join(str(error).split())) from None
    except requests.TooManyRedirects:
        raise FetchError("redirects without end") from None
    except requests.HTTPError as error:
        fault = f"answers {error.response.status_code} {error.response.reason}"
        raise (_Passing if error.response.status_code in PASSING else FetchError)(fault) from None
    except DownloadError as error:
        if "byte range" in str(error):  # the server cannot go on with a part: begin again
            for part in path.parent.glob(f"{path.name}*.part"):
                part.unlink()
            raise _Passing("cannot go on with a part that is here") from None
        raise _Passing(str(error).split(".\n")[0].rstrip(".")) from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _Passing(_reason(error)) from None
    except requests.RequestException as error:
        raise FetchError(f"{error}") from None
    except (KeyError, AttributeError) as error:  # gdown's, of an answer without the headers that it reads
        raise FetchError(f"answers without what a download needs ({error})") from None


def _reason(error: Exception) -> str:
    """A requests error in a few words."""
    text = str(error)
    if isinstance(error, requests.Timeout) or "timed out" in text:
        return f"no byte for {TIMEOUT[1]:.0f} s"
    for known in ("Name or service not known", "Temporary failure in name resolution", "Connection refused"):
        if known in text:
            return f"cannot be reached ({known})"
    return f"the line broke ({type(error).__name__})"


def _other(address: str, path: Path, tell: Callable[[int, int | None], None]) -> None:
    """One try at a path or an address that fsspec knows."""
    part = path.with_name(path.name + ".part")
    had = part.stat().st_size if part.exists() else 0
    try:
        with fsspec.open(address, "rb") as source:
            size = getattr(source, "size", None) or (Path(address).stat().st_size if Path(address).exists() else None)
            check_room(path.parent, (size or 0) - had)
            if had and size is not None and had <= size:
                source.seek(had)
            else:
                had = 0
            with part.open("ab" if had else "wb") as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    had += len(chunk)
                    tell(had, size)
    except FileNotFoundError:
        raise FetchError("is not there") from None
    except (ImportError, ValueError, PermissionError, IsADirectoryError) as error:
        raise FetchError(str(error)) from None
    if size is not None and had != size:
        raise _Passing(f"ended after {had} of {size} bytes")
    part.rename(path)
