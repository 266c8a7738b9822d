"""Say what `dvc repro` would fetch: archives, addresses, size, room, time and terms; fetches nothing."""

import json
import shutil
from pathlib import Path

from faces import params
from faces.data import archives, datasets, downloads


def main() -> None:
    """Print one block a variant of params.yaml, then the sum."""
    p = params.load()
    total, planned = 0, set()
    for key, row in p.variants.items():
        if row.pictures is not None:
            print(f"{key}: your own, {row.pictures}")
            continue
        if p.data.source == "sample":
            print(f"{key}: {p.sample.faces} faces are drawn, nothing is fetched (data.source is sample)")
            continue
        module = datasets.find(row.reader)
        wanted = datasets.archives(module, row.variant)
        here = is_here(Path("data/raw", row.dataset, row.variant))
        once = p.data.source == "official" and planned.issuperset(wanted)  # as downloads.link_from_variants does
        planned |= set(wanted)
        told = " (fetched before)" if here else " (fetched once: another variant's, too)" if once else ""
        print(f"{key}: {downloads.plan(wanted, p.data.source, module.LICENCE)}{told}")
        for archive in wanted:
            for one, address in downloads.candidates(archive, p.data.source):
                print(f"    {one.name:16} {address}")
        total += 0 if here or once else sum(downloads.download_size(archive, p.data.source) for archive in wanted)
    free = shutil.disk_usage(Path.cwd()).free
    print(f"To fetch: about {total / 1e9:.1f} GB; packs take as much again; {free / 1e9:.0f} GB are free here.")


def is_here(folder: Path) -> bool:
    """Whether real archives were fetched to a folder."""
    path = folder / archives.PROVENANCE
    return path.exists() and json.loads(path.read_text())["kind"] == "real"


if __name__ == "__main__":
    main()
