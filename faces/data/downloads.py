"""Archives from data.source: where they are looked for, fetched, checked, and what is noted of them."""

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from faces.data import archives, fetching, tables
from faces.data.archives import ArchiveError
from faces.data.datasets import Archive
from faces.data.fetching import FetchError
from faces.runtime import progress, running

SPEED = 5e6  # bytes a second, for the expected time


def borrow(wanted: tuple[Archive, ...], folder: Path, place: Path) -> None:
    """Link archives that another variant of the dataset has from the publisher into `place`, to fetch them once.

    folder: of this variant.
    """
    names = [archive.name for archive in wanted]
    for path in sorted(folder.parent.glob(f"*/{archives.PROVENANCE}")):
        noted = json.loads(path.read_text())
        if path.parent == folder or noted.get("mirror") is not False:
            continue
        for row in noted["archives"]:
            there, here = path.parent / row["name"], place / row["name"]
            if row["name"] not in names or here.exists() or not there.exists():
                continue
            if archives.checksums(there)["sha256"] == row["sha256"]:
                progress.say(f"{there} is taken, instead of fetching it again")
                running.replace(here, functools.partial(link, there))


def own(pictures: Path, folder: Path) -> dict:
    """Bring one's own pictures into a folder as one archive, and return what is noted of it.

    pictures: a folder of pictures, a zip or tar, or a table with a column of pixels.
    """
    if not pictures.exists():
        raise ArchiveError(f"{pictures}: is not there; variants in params.yaml names it")
    archive = Archive(pictures.name)
    if pictures.is_dir():
        archive = Archive(pictures.name + ".tar")
        archives.pack_folder(pictures, folder / archive.name)
    elif pictures.suffix.lower() in tables.SHEETS:
        archive = Archive("pixels.tar")
        tables.write_pixels(pictures, folder / archive.name)
    else:
        shutil.copyfile(pictures, folder / archive.name)
        archives.check_magic(folder / archive.name, archive.name)
    return note(archive, folder / archive.name)


def plan(wanted: tuple[Archive, ...], source: str, licence: str) -> str:
    """What is about to be fetched, in a line: names, size, room, terms, and how long it may take."""
    size, free = sum(size_of(archive, source) for archive in wanted), shutil.disk_usage(Path.cwd()).free
    names = ", ".join(archive.name for archive in wanted)
    return (
        f"{names} from {source}: about {size / 1e9:.2f} GB ({free / 1e9:.0f} GB are free here), "
        f"{max(1, round(size / SPEED / 60))} minutes at {SPEED / 1e6:.0f} MB/s; {licence}"
    )


def size_of(archive: Archive, source: str) -> int:
    """Bytes to fetch for an archive: of the file in a folder, else as published, roughly where that is not known."""
    _, address = next(candidates(archive, source), (None, ""))
    return Path(address).stat().st_size if Path(address).is_file() else archive.bytes


def bring(archive: Archive, source: str, place: Path, get: Callable[..., dict] | None = None) -> dict:
    """Bring one archive into `place`, from the first address that gives it, and return what is noted of it.

    get: how it is had of one address, as `fetch` does it. Under the source `official`, a file that has published
    checksums must match them; a mirror's may differ, and what holds the same pictures in another wrapping does: that is
    noted. Raises ArchiveError, saying what can be done.
    """
    get, faults = get or fetch, []
    for one, address in candidates(archive, source):
        try:
            return get(one, address, place, official=source == "official") | (
                {"official": False} if one != archive else {}
            )
        except (OSError, ImportError, ValueError, FetchError, ArchiveError) as error:
            faults.append(f"  {address}: {error}")
            if running.disk_full(error):
                break
    tried = "\n".join(faults) or "  no address is known"
    raise ArchiveError(
        f"{archive.name} could not be had:\n{tried}\n"
        f"By hand: {archive.by_hand or 'download it'}. Put it in a folder, set data.source in params.yaml to that "
        "folder, and run dvc repro again."
    )


def look(archive: Archive, source: str, place: Path) -> dict:
    """Look at one archive where it lies, and return what is noted of it, its address too; as bring, else."""
    return bring(archive, source, place, seen)


def seen(archive: Archive, address: str, place: Path, official: bool) -> dict:
    """Read one archive of one address, check it, and return what is noted of it. Raises what the faults are."""
    address = address if "://" in address else str(Path(address).resolve())
    size = archives.size_of(address)
    if size is None:
        raise FetchError("is not there, or no file")
    archives.check_magic(address, archive.name)
    progress.say(f"{archive.name}: reading {size / 1e6:.0f} MB where they lie, for their checksum")
    return described(archive, size, archives.checksums(address)) | {"address": address}


def candidates(archive: Archive, source: str) -> Iterator[tuple[Archive, str]]:
    """Each archive that would do, with an address, in the order in which they are tried."""
    for one in (archive, *archive.others):
        if source == "official":
            yield from ((one, url) for url in one.urls)
        elif Path(source).is_dir():
            itself = one is not archive and Path(source).resolve().name == one.name
            path = Path(source) if itself else Path(source) / one.name
            if path.exists() or one is archive:
                yield one, str(path)
        elif "." in one.name:  # a folder of pictures is taken from a disk only
            yield one, source.rstrip("/") + "/" + one.name


def fetch(archive: Archive, address: str, place: Path, official: bool) -> dict:
    """Bring one archive from one address, check it, and return what is noted of it. Raises what the faults are."""
    path = place / archive.name
    if Path(address).is_dir():
        path = path.with_name(path.name + ".tar")
        running.replace(path, lambda part: archives.pack_folder(Path(address), part))
        return note(archive, path)
    if not path.exists():
        parts = place / f"{archive.name} {hashlib.sha256(address.encode()).hexdigest()[:8]}"
        again = parts.exists()
        part = cached(archive, parts) or fetching.fetch(address, parts, archive.name, archive.size)
        try:
            check(archive, part, official)
        except ArchiveError:
            shutil.rmtree(parts)
            if not again:
                raise
            progress.say(f"{archive.name}: the part that was here was of another file; fetching it whole")
            return fetch(archive, address, place, official)
        part.rename(path)
        shutil.rmtree(parts)
    return note(archive, path)


def check(archive: Archive, path: Path, official: bool) -> None:
    """Raise ArchiveError where a file is no archive, or not the published one where it has to be."""
    archives.check_magic(path, archive.name)
    noted = note(archive, path)
    if official and noted["official"] is False:
        raise ArchiveError(f"is not the published file ({noted['size']} bytes, sha256 {noted['sha256'][:12]}…)")


def cached(archive: Archive, folder: Path) -> Path | None:
    """Link a published archive that DVC's cache has from an earlier download into a folder; None where it has not."""
    path = running.root() / ".dvc/cache/files/md5" / (archive.md5 or "-")[:2] / (archive.md5 or "-")[2:]
    if not path.is_file():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    progress.say(f"{archive.name} is in DVC's cache already")
    return link(path, folder / archive.name)


def link(path: Path, to: Path) -> Path:
    """Give a file another name, or copy it where the disk cannot; returns the name."""
    try:
        os.link(path, to)
    except OSError:
        shutil.copyfile(path, to)
    return to


def note(archive: Archive, path: Path) -> dict:
    """What is noted of a file."""
    return described(archive, path.stat().st_size, archives.checksums(path)) | {"name": path.name}


def described(archive: Archive, size: int, sums: dict[str, str]) -> dict:
    """Return {name, size, sha256, official} of a file; official: true, false, or null where nothing is published."""
    checks = [(archive.size, size), (archive.md5, sums["md5"]), (archive.sha256, sums["sha256"])]
    known = [(published, found) for published, found in checks if published is not None]
    same = all(published == found for published, found in known) if known else None
    return {"name": archive.name, "size": size, "sha256": sums["sha256"], "official": same}
