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
    if folder.exists():  # DVC leaves that to this stage, which checks first that the source is not in it
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    provenance = {"kind": "real", "simulated": p.data.simulated, "licence": module.LICENCE}
    wanted = datasets.archives(module, variant)
    if row.images is not None:
        entries = [downloads.import_own_images(Path(row.images), folder)]
        provenance |= {"kind": "own"}
    elif p.data.source == "sample":
        progress.say(f"{dataset} {variant}: making {p.sample.faces} sample faces")
        archive_writer.write(dataset, wanted, p.sample.faces, p.sample.seed, folder)
        made = [downloads.provenance_entry(archive, folder / archive.name) for archive in wanted]
        entries = [entry | {"official": False} for entry in made]
        provenance |= {"kind": "sample", "licence": "synthetic, made by this project; shows nobody"}
    else:
        progress.say(downloads.plan(wanted, p.data.source, module.LICENCE))
        key = hashlib.sha256(p.data.source.encode()).hexdigest()[:16]
        official = p.data.source == "official"
        with running.unfinished("download", f"{dataset}-{variant}", key) as place:
            if official:
                downloads.link_from_variants(wanted, folder, place)
            in_place = p.data.in_place and not official
            entries = [downloads.download(archive, p.data.source, place, in_place) for archive in wanted]
            for entry in entries:
                if "address" not in entry:
                    shutil.move(place / entry["name"], folder / entry["name"])
        provenance |= {"mirror": not official}
    (folder / archives.PROVENANCE).write_text(json.dumps(provenance | {"archives": entries}, indent=1) + "\n")


if __name__ == "__main__":
    running.stage(main)
