"""Fetch the archives of one dataset's variant, checked: data.source -> data/raw/DATASET/VARIANT/."""

import hashlib
import json
import shutil
from pathlib import Path

from faces import params
from faces.data import archives, datasets, downloads
from faces.data.sample import archive_writer
from faces.runtime import progress, running


def main(dataset: str, variant: str) -> None:
    """Fetch each archive out of the way, check it, then put all in place; note where they came from."""
    p = params.load()
    row = p.variants[f"{dataset}-{variant}"]
    module = datasets.find(row.reader)
    folder = Path("data/raw", dataset, variant)
    folder.mkdir(parents=True, exist_ok=True)
    if row.pictures is not None:
        noted = downloads.import_own_images(Path(row.pictures), folder)
        provenance = {"kind": "own", "simulated": p.data.simulated, "licence": module.LICENCE, "archives": [noted]}
        (folder / archives.PROVENANCE).write_text(json.dumps(provenance, indent=1) + "\n")
        return
    wanted = datasets.archives(module, variant)
    provenance = {"kind": "real", "simulated": p.data.simulated, "licence": module.LICENCE}
    if p.data.source == "sample":
        progress.say(f"drawing {p.sample.faces} faces for {dataset} {variant}")
        archive_writer.write(dataset, wanted, p.sample.faces, p.sample.seed, folder)
        noted = [downloads.provenance_entry(archive, folder / archive.name) | {"official": False} for archive in wanted]
        provenance |= {"kind": "sample", "licence": "drawn by this project; shows nobody"}
    else:
        progress.say(downloads.plan(wanted, p.data.source, module.LICENCE))
        key = hashlib.sha256(p.data.source.encode()).hexdigest()[:16]
        with running.unfinished("download", f"{dataset}-{variant}", key) as place:
            official = p.data.source == "official"
            if official:
                downloads.link_from_variants(wanted, folder, place)
            in_place = p.data.in_place and not official
            noted = [downloads.download(archive, p.data.source, place, in_place) for archive in wanted]
            for row in noted:
                if "address" not in row:
                    shutil.move(place / row["name"], folder / row["name"])
        provenance |= {"mirror": p.data.source != "official"}
    provenance["archives"] = noted
    (folder / archives.PROVENANCE).write_text(json.dumps(provenance, indent=1) + "\n")


if __name__ == "__main__":
    running.stage(main)
