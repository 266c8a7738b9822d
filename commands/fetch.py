"""Print what is fetched, from where, its size and its terms; then fetch it.

It reads a mirror, and your own images, again. `dvc repro` reads them once, and fetches by itself what is missing.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from commands import command_line
from faces import params
from faces.data import archives, datasets, downloads, records


def main() -> None:
    """Print the plan, then run the downloads; if one fails, restore the archives that it had before."""
    command_line.parser(__doc__).parse_args()
    p = params.load()
    print_plan(p)
    for key, row in p.variants.items():
        name, mirror = f"download@{key}", row.images is not None or p.data.source not in ("sample", "official")
        command = ["dvc", "repro", "--single-item", *(["--force"] if mirror else []), name]
        if (mirror or p.data.source == "official") and subprocess.run(command, check=False).returncode:
            subprocess.run(["dvc", "checkout", name], check=False)
            sys.exit(f"{name} failed; the archives of the last download are restored")
    print("`dvc repro` runs what depends on archives that changed.")


def print_plan(p: params.Params) -> None:
    """Print a block for each variant, then the sum."""
    total, planned = 0, set()
    for key, row in p.variants.items():
        if row.images is not None:
            print(f"{key}: your own, {row.images}")
        elif p.data.source == "sample":
            print(f"{key}: {p.sample.faces} synthetic faces, nothing is fetched (data.source is sample)")
        else:
            module = datasets.find(row.reader)
            wanted = datasets.archives(module, row.variant)
            path = Path("data/raw", row.dataset, row.variant, archives.PROVENANCE)
            here = path.exists() and records.read_json(path)["kind"] == "real"
            shared = p.data.source == "official" and planned.issuperset(wanted)  # as downloads.link_from_variants does
            planned |= set(wanted)
            note = " (fetched before)" if here else " (shared with another variant: fetched once)" if shared else ""
            print(f"{key}: {downloads.plan(wanted, p.data.source, module.LICENCE)}{note}")
            for archive in wanted:
                for candidate, address in downloads.candidates(archive, p.data.source):
                    print(f"    {candidate.name:16} {address}")
                total += 0 if here or shared else downloads.download_size(archive, p.data.source)
    free = shutil.disk_usage(Path.cwd()).free
    print(f"To fetch: about {total / 1e9:.1f} GB; packs take as much again; {free / 1e9:.0f} GB are free here.")


if __name__ == "__main__":
    command_line.run(main)
