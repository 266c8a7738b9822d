"""Decode, resize, hash and pack pictures: data/raw/DATASET/VARIANT/ -> data/packs/DATASET/VARIANT/."""

import collections
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from stages.lib import archives, datasets, packs, params, pictures, progress, records, running
from stages.lib.pictures import PictureError


def main(dataset: str, variant: str) -> None:
    """Stream the archives through all cores into shards; a picture that cannot be used goes to rejects.csv."""
    p = params.load()
    module = datasets.find(p.variants[f"{dataset}-{variant}"].reader)
    raw, out = Path("data/raw", dataset, variant), Path("data/packs", dataset, variant)
    boxes = None if variant in module.ARCHIVES else module.boxes(raw)
    rejects: list[dict] = []

    def pass_over(name: str, reason: str) -> None:
        rejects.append({"face_id": module.face_id(name) or name, "reject": reason})

    members = (
        (module.face_id(name), content)
        for archive in archives.of(raw)
        for name, content in archives.members(archive, pass_over)
    )

    def prepare(face: str, content: bytes) -> dict:
        return pack_picture(face, content, variant, p.pack.size, p.pack.quality, p.pack.margin, boxes)

    rows = keep(in_order(prepare, members), rejects)
    shards = packs.write(progress.bar(rows, f"packing {dataset} {variant}", unit="faces"), out, p.pack.shard_faces)
    kind = json.loads((raw / archives.PROVENANCE).read_text())["kind"]
    manifest = {"kind": kind, "variant": variant, "size": p.pack.size, "shards": shards}
    (out / packs.MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    records.write(pd.DataFrame(rejects, columns=["face_id", "reject"]), out / "rejects.csv")
    progress.say(f"{dataset} {variant}: {sum(s['faces'] for s in shards)} pictures packed, {len(rejects)} rejected")


def in_order(work: Callable, items: Iterable[tuple]) -> Iterator:
    """Yield work(*item) for each item, in order, on as many threads as cores, never far ahead of the reader."""
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        pending: collections.deque = collections.deque()
        for item in items:
            if item[0] is None:
                continue
            pending.append(pool.submit(work, *item))
            if len(pending) >= 16 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def keep(rows: Iterable[dict], rejects: list[dict]) -> Iterator[dict]:
    """Pass on the rows that hold a new face; list the others with their reason."""
    seen: set[str] = set()
    for row in rows:
        if "reject" not in row and row["face_id"] in seen:
            row = {"face_id": row["face_id"], "reject": "a second picture of this name"}
        if "reject" in row:
            rejects.append(row)
            continue
        seen.add(row["face_id"])
        yield row


def pack_picture(
    face: str,
    content: bytes,
    variant: str,
    size: int,
    quality: int,
    margin: float,
    boxes: dict[str, tuple[float, float, float, float]] | None,
) -> dict:
    """Return one row of packs.SCHEMA, or {face_id, reject} where the picture cannot be used."""
    try:
        image = pictures.decode(content, near=None if boxes else size)
        width, height = image.size
        if boxes is not None:
            if face not in boxes:
                raise PictureError("no face box")
            image = pictures.crop_box(image, boxes[face], margin)
        image = pictures.fit(image, variant, size)
    except PictureError as error:
        return {"face_id": face, "reject": str(error)}
    luma = pictures.grey(image)
    return {
        "face_id": face,
        "image": pictures.encode(image, quality),
        "width": width,
        "height": height,
        "brightness": float(luma.mean()),
        "phash": pictures.perceptual_hash(luma),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


if __name__ == "__main__":
    running.stage(main)
