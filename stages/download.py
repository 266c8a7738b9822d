"""Fetch the archives of one dataset's variant, checked: data.source -> data/raw/DATASET/VARIANT/."""

import json
import shutil
import sys
from pathlib import Path

import fsspec

from stages.lib import archives, datasets, params, progress, running, sample
from stages.lib.archives import ArchiveError
from stages.lib.datasets import Archive

CHUNK = 1 << 20


def main(dataset: str, variant: str) -> None:
    """Fetch each archive beside its final name, check it, then give it that name; note where it came from."""
    p = params.load()
    module = datasets.find(dataset)
    wanted = datasets.archives(module, variant)
    folder = Path("data/raw", dataset, variant)
    folder.mkdir(parents=True, exist_ok=True)
    kind = "sample" if p.data.source == "sample" else "real"
    try:
        if kind == "sample":
            progress.say(f"drawing {p.sample.faces} faces for {dataset} {variant}")
            sample.write(dataset, wanted, p.sample.faces, p.sample.seed, folder)
            noted = [note(archive, folder / archive.name, official=False) for archive in wanted]
        else:
            noted = [fetch(archive, p.data.source, folder, module.HOME) for archive in wanted]
    except ArchiveError as error:
        sys.exit(str(error))
    provenance = {"kind": kind, "simulated": p.data.simulated, "licence": module.LICENCE, "archives": noted}
    if kind == "sample":
        provenance["licence"] = "drawn by this project; shows nobody"
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


def fetch(archive: Archive, source: str, folder: Path, home: str) -> dict:
    """Fetch one archive from a source (`official`, a folder or a URL) and return what is noted of it.

    An official address must give the published bytes; a mirror's may differ, and that is noted.
    Raises ArchiveError, saying what can be done, where none can be had.
    """
    addresses = [source.rstrip("/") + "/" + archive.name] if source != "official" else list(archive.urls)
    faults = []
    for address in addresses:
        part = folder / f".{archive.name}.part"
        try:
            copy(address, part, archive.name)
            archives.check_magic(part, archive.name)
            noted = note(archive, part, official=source == "official")
            part.rename(folder / archive.name)
            return noted
        except (OSError, ValueError, ArchiveError) as error:
            part.unlink(missing_ok=True)
            faults.append(f"  {address}: {error}")
    tried = "\n".join(faults) or "  no address is known that can be fetched without a browser"
    raise ArchiveError(
        f"{archive.name} could not be had:\n{tried}\n"
        f"Download it by hand from {home} into a folder, and set data.source in params.yaml to that folder."
    )


def copy(address: str, part: Path, name: str) -> None:
    """Copy a file of any fsspec address, with a progress bar; raises OSError where it ends early."""
    with fsspec.open(address, "rb") as source, part.open("wb") as target:
        size = getattr(source, "size", None)
        chunks = iter(lambda: source.read(CHUNK), b"")
        for chunk in progress.bar(chunks, name, total=size and -(-size // CHUNK), unit="MB"):
            target.write(chunk)
    got = part.stat().st_size
    if size and got != size:
        raise OSError(f"ended after {got} of {size} bytes")
    shutil.copymode(__file__, part)


def note(archive: Archive, path: Path, official: bool) -> dict:
    """Return {name, size, sha256, official} of a file; official: true, false, or null where nothing is published.

    Raises ArchiveError where the bytes differ from the published ones and `official` says that they must not.
    """
    sums, size = archives.checksums(path), path.stat().st_size
    checks = [(archive.size, size), (archive.md5, sums["md5"]), (archive.sha256, sums["sha256"])]
    known = [(published, found) for published, found in checks if published is not None]
    same = all(published == found for published, found in known) if known else None
    if official and same is False:
        raise ArchiveError(f"{archive.name}: is not the published file ({size} bytes, sha256 {sums['sha256']})")
    return {"name": archive.name, "size": size, "sha256": sums["sha256"], "official": same}


if __name__ == "__main__":
    running.stage(main)
