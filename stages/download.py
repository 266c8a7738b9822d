"""Fetch and check the archives of one dataset's variant: data.source -> data/raw/DATASET/VARIANT/."""

import hashlib
import json
import shutil
from pathlib import Path

from faces import params
from faces.data import archives, datasets, downloads
from faces.data.sample import archive_writer
from faces.runtime import progress, running


def main(dataset: str, variant: str) -> None:
    """Fetch each archive to a partial folder, check it, then move all in place; write their provenance."""
    p = params.load()
    row = p.variants[f"{dataset}-{variant}"]
    module = datasets.find(row.reader)
    folder = Path("data/raw", dataset, variant)
    folder.mkdir(parents=True, exist_ok=True)
    if row.images is not None:
        entry = downloads.import_own_images(Path(row.images), folder)
        provenance = {"kind": "own", "simulated": p.data.simulated, "licence": module.LICENCE, "archives": [entry]}
        (folder / archives.PROVENANCE).write_text(json.dumps(provenance, indent=1) + "\n")
        return
    wanted = datasets.archives(module, variant)
    provenance = {"kind": "real", "simulated": p.data.simulated, "licence": module.LICENCE}
    if p.data.source == "sample":
        progress.say(f"{dataset} {variant}: making {p.sample.faces} sample faces")
        archive_writer.write(dataset, wanted, p.sample.faces, p.sample.seed, folder)
        entries = [
            downloads.provenance_entry(archive, folder / archive.name) | {"official": False} for archive in wanted
        ]
        provenance |= {"kind": "sample", "licence": "synthetic, made by this project; shows nobody"}
    else:
        progress.say(downloads.plan(wanted, p.data.source, module.LICENCE))
        key = hashlib.sha256(p.data.source.encode()).hexdigest()[:16]
        with running.unfinished("download", f"{dataset}-{variant}", key) as place:
            official = p.data.source == "official"
            if official:
                downloads.link_from_variants(wanted, folder, place)
            in_place = p.data.in_place and not official
            entries = [downloads.download(archive, p.data.source, place, in_place) for archive in wanted]
            for entry in entries:
                if "address" not in entry:
                    shutil.move(place / entry["name"], folder / entry["name"])
        provenance |= {"mirror": p.data.source != "official"}
    (folder / archives.PROVENANCE).write_text(json.dumps(provenance | {"archives": entries}, indent=1) + "\n")


if __name__ == "__main__":
    running.stage(main)
