"""Print what is fetched, from where, its size and its terms; then fetch it. A mirror is read again.

`dvc repro` fetches by itself what it lacks, but reads a mirror, and your own images, once only.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from faces import params
from faces.data import archives, datasets, downloads


def main() -> None:
    """Print the plan, then run the downloads; if one fails, restore the archives that it had before."""
    p = params.load()
    print_plan(p)
    for key, row in p.variants.items():
        mirror = row.images is not None or p.data.source not in ("sample", "official")
        if not mirror and p.data.source == "sample":
            continue
        name = f"download@{key}"
        command = ["dvc", "repro", "--single-item", *(["--force"] if mirror else []), name]
        if subprocess.run(command, check=False).returncode:
            subprocess.run(["dvc", "checkout", name], check=False)
            sys.exit(f"{name} failed; the archives of the last download are restored")
    print("`dvc repro` runs what depends on archives that changed.")


def print_plan(p: params.Params) -> None:
    """Print a block for each variant, then the sum."""
    total, planned = 0, set()
    for key, row in p.variants.items():
        if row.images is not None:
            print(f"{key}: your own, {row.images}")
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
