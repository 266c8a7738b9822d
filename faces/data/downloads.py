"""Archives from data.source: where they are searched, fetched, checked, and their provenance entries."""

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from faces.data import archives, fetching, tables
from faces.data.archives import ArchiveError
from faces.data.datasets import Archive
from faces.data.fetching import FetchError
from faces.runtime import dvc_internals, progress, running

GROWN = 10  # times the published size, that a mirror's archive of the same images may have
SPEED = 5e6  # bytes a second, for the expected time


def link_from_variants(wanted: tuple[Archive, ...], folder: Path, target: Path) -> None:
    """Link archives that another variant of the dataset has from the publisher into `target`, to fetch them once.

    folder: of this variant.
    """
    names = {archive.name for archive in wanted}
    for path in sorted(folder.parent.glob(f"*/{archives.PROVENANCE}")):
        provenance = json.loads(path.read_text())
        official = path.parent != folder and provenance.get("mirror") is False
        for entry in provenance["archives"] if official else []:
            there, here = path.parent / entry["name"], target / entry["name"]
            lacking = entry["name"] in names and there.exists() and not here.exists()
            if lacking and archives.checksums(there)["sha256"] == entry["sha256"]:
                progress.say(f"{there} is used instead of fetching it again")
                running.replace(here, functools.partial(link_or_copy, there))


def import_own_images(source: Path, folder: Path) -> dict:
    """Copy one's own images into a folder as one archive, and return its provenance entry.

    source: a folder of images, a zip or tar, or a table with a column of pixels, whose sha256 is then `made_from`.
    """
    if not source.exists():
        raise ArchiveError(f"{source}: does not exist; variants in params.yaml names it")
    path = folder / source.name
    if source.is_dir():
        path = folder / f"{source.name}.tar"
        archives.pack_folder(source, path)
        return provenance_entry(Archive(path.name), path)
    try:
        archives.check_archive(source)
        shutil.copyfile(source, path)
    except ArchiveError as fault:
        if source.suffix.lower() not in tables.SUFFIXES:
            raise ArchiveError(f"{source}: {fault}") from None
        path = folder / "pixels.tar"
        tables.write_pixels(source, path)
        return provenance_entry(Archive(path.name), path) | {"made_from": archives.checksums(source)["sha256"]}
    return provenance_entry(Archive(path.name), path)


def plan(wanted: tuple[Archive, ...], source: str, licence: str) -> str:
    """One line on what will be fetched: names, size, free space, licence, and the expected time."""
    size, free = sum(download_size(archive, source) for archive in wanted), shutil.disk_usage(Path.cwd()).free
    names = ", ".join(archive.name for archive in wanted)
    return (
        f"{names} from {source}: about {size / 1e9:.2f} GB ({free / 1e9:.0f} GB are free here), "
        f"{max(1, round(size / SPEED / 60))} minutes at {SPEED / 1e6:.0f} MB/s; {licence}"
    )


def download_size(archive: Archive, source: str) -> int:
    """Bytes to fetch for an archive: of the file in a folder, else as published, roughly where that is unknown."""
    _, address = next(candidates(archive, source), (None, ""))
    return Path(address).stat().st_size if Path(address).is_file() else archive.bytes


def download(archive: Archive, source: str, folder: Path, in_place: bool = False) -> dict:
    """Fetch one archive into a folder from the first address that gives it, and return its provenance entry.

    in_place: check the archive where it is and fetch nothing; its entry has its address. Under the source `official`, a
    file that has published checksums must match them. A mirror's may differ, and the same images in another format
    are accepted: the entry says so. Raises ArchiveError, naming the remedy.
    """
    get, faults = read_in_place if in_place else fetch_from, []
    for candidate, address in candidates(archive, source):
        try:
            entry = get(candidate, address, folder, official=source == "official")
            return entry | ({"official": False} if candidate != archive else {})
        except (OSError, ImportError, ValueError, FetchError, ArchiveError) as error:
            faults.append(f"  {address}: {error}")
            if running.disk_full(error):
                break
    tried = "\n".join(faults) or "  no address is known"
    raise ArchiveError(
        f"{archive.name} could not be downloaded:\n{tried}\n"
        f"By hand: {archive.by_hand or 'download it'}. Put it in a folder, set data.source in params.yaml to that "
        "folder, and run dvc repro again."
    )


def read_in_place(archive: Archive, address: str, folder: Path, official: bool) -> dict:
    """Read one archive at an address, check it, and return its provenance entry. Raises as fetch_from does."""
    address = address if "://" in address else str(Path(address).resolve())
    size = archives.file_size(address)
    if size is None:
        raise FetchError("does not exist or is not a file")
    archives.check_archive(address)
    progress.say(f"{archive.name}: reading {size / 1e6:.0f} MB in place, for the checksum")
    return _entry(archive, size, archives.checksums(address)) | {"address": address}


def candidates(archive: Archive, source: str) -> Iterator[tuple[Archive, str]]:
    """Yield each acceptable archive with an address, in the order in which they are tried."""
    for candidate in (archive, *archive.alternatives):
        if source == "official":
            yield from ((candidate, url) for url in candidate.urls)
        elif Path(source).is_dir():
            itself = candidate is not archive and Path(source).resolve().name == candidate.name
            path = Path(source) if itself else Path(source) / candidate.name
            if path.exists() or candidate is archive:
                yield candidate, str(path)
        elif "." in candidate.name:  # a folder of images is accepted from a disk only
            yield candidate, source.rstrip("/") + "/" + candidate.name


def fetch_from(archive: Archive, address: str, folder: Path, official: bool) -> dict:
    """Fetch one archive from one address, check it, and return its provenance entry.

    Raises OSError, ImportError, ValueError, FetchError or ArchiveError.
    """
    path = folder / archive.name
    if Path(address).is_dir():
        path = path.with_name(path.name + ".tar")
        running.replace(path, functools.partial(archives.pack_folder, Path(address)))
    if path.exists():
        return provenance_entry(archive, path)
    parts = folder / f"{archive.name} {hashlib.sha256(address.encode()).hexdigest()[:8]}"
    resumed = parts.exists()
    most = GROWN * archive.bytes if "://" in address else None
    part = link_cached(archive, parts) or fetching.fetch(address, parts, archive.name, archive.size, most)
    try:
        entry = published_entry(archive, part, official)
    except ArchiveError:
        shutil.rmtree(parts)
        if not resumed:
            raise
        progress.say(f"{archive.name}: the partial download belonged to another file; fetching the whole file")
        return fetch_from(archive, address, folder, official)
    part.rename(path)
    shutil.rmtree(parts)
    return entry


def published_entry(archive: Archive, path: Path, official: bool) -> dict:
    """Provenance entry of a file. Raises ArchiveError where it is no archive or, if official, not the published one."""
    archives.check_archive(path)
    entry = provenance_entry(archive, path)
    if official and entry["official"] is False:
        raise ArchiveError(f"is not the published file ({entry['size']} bytes, sha256 {entry['sha256'][:12]}…)")
    return entry


def link_cached(archive: Archive, folder: Path) -> Path | None:
    """Link a published archive from DVC's cache into a folder; None where the cache does not have it."""
    path = dvc_internals.cached_file(archive.md5) if archive.md5 else None
    if path is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    progress.say(f"{archive.name} is already in DVC's cache")
    link_or_copy(path, folder / archive.name)
    return folder / archive.name


def link_or_copy(path: Path, target: Path) -> None:
    """Hard-link a file, or copy it where the disk has no links."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def provenance_entry(archive: Archive, path: Path) -> dict:
    """Return {name, size, sha256, official} of a file, as provenance.read describes them."""
    return _entry(archive, path.stat().st_size, archives.checksums(path)) | {"name": path.name}


def _entry(archive: Archive, size: int, sums: dict[str, str]) -> dict:
    checks = [(archive.size, size), (archive.md5, sums["md5"]), (archive.sha256, sums["sha256"])]
    known = [published == actual for published, actual in checks if published is not None]
    return {"name": archive.name, "size": size, "sha256": sums["sha256"], "official": all(known) if known else None}
