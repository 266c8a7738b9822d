"""Print what `dvc repro` would fetch: archives, addresses, size, disk space, time and terms; fetches nothing."""

import json
import shutil
from pathlib import Path

from faces import params
from faces.data import archives, datasets, downloads


def main() -> None:
    """Print a block for each variant of params.yaml, then the sum."""
    p = params.load()
    total, planned = 0, set()
    for key, row in p.variants.items():
        if row.pictures is not None:
            print(f"{key}: your own, {row.pictures}")
            continue
        if p.data.source == "sample":
            print(f"{key}: {p.sample.faces} synthetic faces, nothing is fetched (data.source is sample)")
            continue
        module = datasets.find(row.reader)
        wanted = datasets.archives(module, row.variant)
        here = is_fetched(Path("data/raw", row.dataset, row.variant))
        shared = p.data.source == "official" and planned.issuperset(wanted)  # as downloads.link_from_variants does
        planned |= set(wanted)
        note = " (fetched before)" if here else " (shared with another variant: fetched once)" if shared else ""
        print(f"{key}: {downloads.plan(wanted, p.data.source, module.LICENCE)}{note}")
        for archive in wanted:
            for candidate, address in downloads.candidates(archive, p.data.source):
                print(f"    {candidate.name:16} {address}")
        total += 0 if here or shared else sum(downloads.download_size(archive, p.data.source) for archive in wanted)
    free = shutil.disk_usage(Path.cwd()).free
    print(f"To fetch: about {total / 1e9:.1f} GB; packs take as much again; {free / 1e9:.0f} GB are free here.")


def is_fetched(folder: Path) -> bool:
    """Whether real archives were fetched to a folder."""
    path = folder / archives.PROVENANCE
    return path.exists() and json.loads(path.read_text())["kind"] == "real"


if __name__ == "__main__":
    main()
