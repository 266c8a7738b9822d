"""Fetch a file from an address: resumes a partial download and retries temporary errors; does not check the content."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import gdown
import requests
from gdown.exceptions import DownloadError, FileURLRetrievalError

from faces.runtime import progress, redirects

TIMEOUT = (20.0, 60.0)  # seconds to connect, and seconds without a byte
TRIES = 5  # in a row that receive no byte
WAIT = 2.0  # seconds before the next try; doubles with each that receives nothing
CHUNK = 1 << 20
Update = Callable[[int, int | None], None]  # (bytes that were received, bytes in all or None)
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # HTTP status codes that may change a little later


class FetchError(Exception):
    """An address that did not give its file; the message says why."""


class TemporaryError(Exception):
    """An error that another try may not meet."""


def fetch(address: str, folder: Path, name: str, size: int | None = None, most: int | None = None) -> Path:
    """Fetch `address` to folder/name and return that; http(s), Google Drive, a path, or any address of fsspec.

    size: in bytes, where known; most: bytes above which it stops. What an earlier call received is kept in the folder
    and not fetched again. A connection that breaks or stalls is tried again. A redirect to another scheme, or to a
    private address of another host, is not followed. Raises FetchError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.exists():
        return path
    check_free_space(folder, (size or 0) - received_bytes(folder))
    fetch_once = _fetch_http if address.startswith(("http://", "https://")) else _fetch_fsspec
    tries = furthest = 0
    while True:
        furthest = max(furthest, received_bytes(folder))
        try:
            with progress.meter(name) as update:
                fetch_once(address, path, _checked(update, folder, most))
            return path
        except FetchError:
            shutil.rmtree(folder)
            raise
        except TemporaryError as error:
            tries = 1 if received_bytes(folder) > furthest else tries + 1
            if tries >= TRIES:
                raise FetchError(f"{error} ({TRIES} tries; {received_bytes(folder) / 1e6:.1f} MB are kept)") from None
            wait = WAIT * 2 ** (tries - 1)
            progress.say(f"{name}: {error}; trying again in {wait:.0f} s")
            time.sleep(wait)


def _checked(update: Update, folder: Path, most: int | None) -> Update:
    """An update of the progress that raises FetchError for a file that is too large, or for which there is no room."""
    known: int | None = None

    def checked(done: int, size: int | None) -> None:
        nonlocal known
        if most and max(done, size or 0) > most:
            raise FetchError(f"sends more than {most / 1e9:.2f} GB, and so is not the file that is expected")
        if size is not None and size != known:
            known = size
            check_free_space(folder, size - done)
        update(done, size)

    return checked


def received_bytes(folder: Path) -> int:
    """Bytes in the files of a folder."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def check_free_space(folder: Path, size: int) -> None:
    """Raise FetchError where a folder's disk has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise FetchError(f"needs {size / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free on the disk of {folder}")


def _fetch_http(address: str, path: Path, update: Update) -> None:
    """Try once to fetch an address of the web; partial files are beside `path`."""
    try:
        with redirects.guarded():
            gdown.download(
                address, str(path), quiet=True, use_cookies=False, resume=True, timeout=TIMEOUT, progress=update
            )
    except redirects.RedirectError as error:
        raise FetchError(str(error)) from None
    except FileURLRetrievalError as error:
        raise FetchError(" ".join(str(error).split())) from None
    except requests.TooManyRedirects:
        raise FetchError("redirects without end") from None
    except requests.HTTPError as error:
        status, reason = (getattr(error.response, name, "") for name in ("status_code", "reason"))
        raise (TemporaryError if status in TEMPORARY else FetchError)(f"answers {status} {reason}") from None
    except DownloadError as error:
        if "byte range" in str(error):  # the server cannot resume a partial file: begin again
            for part in path.parent.glob(f"{path.name}*.part"):
                part.unlink()
            raise TemporaryError("cannot resume a partial download") from None
        raise TemporaryError(str(error).split(".\n")[0].rstrip(".")) from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise TemporaryError(_reason(error)) from None
    except requests.RequestException as error:
        raise FetchError(f"{error}") from None
    except (KeyError, AttributeError) as error:  # gdown's, of a response without the headers that it reads
        raise FetchError(f"answers without a header that a download needs ({error})") from None


def _reason(error: Exception) -> str:
    """A requests error in a few words."""
    text = str(error)
    if isinstance(error, requests.Timeout) or "timed out" in text:
        return f"no byte for {TIMEOUT[1]:.0f} s"
    for known in ("Name or service not known", "Temporary failure in name resolution", "Connection refused"):
        if known in text:
            return f"cannot be reached ({known})"
    return f"the connection broke ({type(error).__name__})"


def _fetch_fsspec(address: str, path: Path, update: Update) -> None:
    """Try once to fetch a path or an address that fsspec reads."""
    part = path.with_name(path.name + ".part")
    done = part.stat().st_size if part.exists() else 0
    try:
        with fsspec.open(address, "rb") as source:
            size = getattr(source, "size", None) or (Path(address).stat().st_size if Path(address).exists() else None)
            check_free_space(path.parent, (size or 0) - done)
            if done and size is not None and done <= size:
                source.seek(done)
            else:
                done = 0
            with part.open("ab" if done else "wb") as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    done += len(chunk)
                    update(done, size)
    except FileNotFoundError:
        raise FetchError("does not exist") from None
    except (ImportError, ValueError, PermissionError, IsADirectoryError) as error:
        raise FetchError(str(error)) from None
    if size is not None and done != size:
        raise TemporaryError(f"ended after {done} of {size} bytes")
    part.rename(path)
