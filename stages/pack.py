"""Decode, resize, hash and pack images: data/raw/DATASET/VARIANT/, data/boxes/ -> data/packs/DATASET/VARIANT/."""

import collections
import functools
import hashlib
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from PIL import Image

from faces import params
from faces.data import archives, datasets, packs, records
from faces.images import contact_sheet, detection, preprocessing
from faces.images.preprocessing import ImageError
from faces.runtime import executor, progress, running

AS_IT_IS = "as it is, a crop"  # how an image is packed
LOT = 1 << 20  # bytes of images that a worker takes at a time
SHEET, THUMBNAIL, NAME = 100, 80, 13  # faces of a contact sheet, pixels of each, characters of its name
LOOKED_AT = 48  # images of a table, to tell whether they are crops
FEWEST = 12  # of them that must show a face, to measure how the faces of a table are framed
MOST_PHOTOS = 0.05  # share of them that may look like photos where all are crops: the detector errs, too


def main(dataset: str, variant: str) -> None:
    """Stream the archives through all cores into shards; unusable images go to rejects.csv."""
    p = params.load()
    row = p.variants[f"{dataset}-{variant}"]
    module = datasets.find(row.reader)
    raw, out = Path("data/raw", dataset, variant), Path("data/packs", dataset, variant)
    boxes = records.as_boxes(records.read(f"data/boxes/{dataset}.csv"))
    own, boxed = row.reader == "table", variant not in {*module.ARCHIVES, "detected"}
    framed, framing = choose_framing(row, module, raw)
    if own and boxes and not framed:
        progress.say(f"{dataset} {variant}: {len(boxes)} boxes are not used, since each image is taken as it is")
    rejects: list[dict] = []
    notes: list[dict] = []

    def reject(name: str, reason: str) -> None:
        rejects.append({"face_id": module.face_id(name) or name, "reject": reason})

    members = (member for archive in archives.list_archives(raw) for member in archives.members(archive, reject))
    others: collections.Counter[str] = collections.Counter()
    images = new(members, module.face_id, reject, others)
    photos = ((face, content, boxes.get(face)) for face, content in images)
    prepared = executor.map_ordered(  # by processes: Pillow holds the GIL while it opens and encodes
        pack_images,
        lots(photos),
        processes=True,
        variant=variant,
        side=p.pack.side,
        quality=p.pack.quality,
        boxed=boxed,
        margin=p.pack.margin,
        framing=framing if framed else None,
        central=own,
    )
    rows = keep(itertools.chain.from_iterable(prepared), rejects, notes)
    shards = packs.write(progress.bar(rows, f"packing {dataset} {variant}", unit="faces"), out, p.pack.shard_faces)
    kind = records.read_json(raw / archives.PROVENANCE)["kind"]
    places = None if framing is None else np.round(framing, 4).tolist()
    manifest = {"kind": kind, "variant": variant, "side": p.pack.side, "framing": places, "shards": shards}
    records.write_json(manifest, out / packs.MANIFEST)
    records.write(pd.DataFrame(rejects, columns=["face_id", "reject"]), out / "rejects.csv")
    if shards and (own or framed):
        draw_sheet(out)
    if framed:
        records.write(pd.DataFrame(notes, columns=["face_id", "note"]), out / "notes.csv")
    reasons = collections.Counter(row["reject"].split(":")[0] for row in rejects)
    if not shards:
        raise SystemExit(no_picture(dataset, variant, reasons))
    progress.say(f"{dataset} {variant}: {sum(s['faces'] for s in shards)} images packed, {len(rejects)} rejected")
    noted = collections.Counter(row["note"] for row in notes)
    if own and reasons[detection.NO_FACE] and noted[AS_IT_IS] > len(notes) / 2:
        progress.say(
            f"{dataset} {variant}: most images are crops. If all are, variants.{dataset}-{variant}.crop: none in "
            f"params.yaml also keeps those in which {detection.NO_FACE}"
        )
    for title, counted in (
        ("rejected", reasons), ("files that are no images passed over", others), ("packed", noted),
    ):  # fmt: skip
        if counted:
            progress.say(f"{dataset} {variant}: {title}: {progress.counts(dict(counted.most_common(5)))}")


def lots(photos: Iterable[tuple]) -> Iterator[list[tuple]]:
    """Yield lists of (face id, published bytes, ...) of LOT bytes or more each, except the last."""
    lot, size = [], 0
    for photo in photos:
        lot.append(photo)
        size += len(photo[1])
        if size >= LOT:
            yield lot
            lot, size = [], 0
    if lot:
        yield lot


def new(
    members: Iterable[tuple[str, bytes]],
    face_id: Callable[[str], str | None],
    reject: Callable[[str, str], None],
    others: collections.Counter[str],
) -> Iterator[tuple[str, bytes]]:
    """Yield (face id, bytes) of each face's image once; reject another image of the same face.

    UTKFace's zip of Kaggle holds every image twice: an equal one is passed over. Members that are no images of the
    dataset are counted in `others`, by the end of their names.
    """
    seen: dict[str, int] = {}
    for name, content in members:
        face = face_id(name)
        if face is None:
            others[Path(name).suffix or name] += 1
        elif face not in seen:
            seen[face] = zlib.crc32(content)
            yield face, content
        elif seen[face] != zlib.crc32(content):
            reject(name, "a second image of this name")


def keep(rows: Iterable[dict], rejects: list[dict], notes: list[dict]) -> Iterator[dict]:
    """Yield the rows of images; append the others to rejects, with their reason, and what is noted of any to notes."""
    for row in rows:
        if "reject" in row:
            rejects.append(row)
        else:
            if "note" in row:
                notes.append({"face_id": row["face_id"], "note": row.pop("note")})
            yield row


def pack_images(
    lot: list[tuple[str, bytes, tuple[float, float, float, float] | None]],
    variant: str,
    side: int,
    quality: int,
    boxed: bool,
    margin: float,
    framing: np.ndarray | None = None,
    central: bool = False,
) -> list[dict]:
    """Return one row of packs.SCHEMA for each (face id, published bytes, face box), or {face_id, reject}.

    side: of a face, the longer one of a full photo, in pixels.
    boxed: images are cut to their box (left, top, right, bottom in pixels), widened by margin, a share of it.
    framing: as detection.crop_face takes it; the face is then detected and cropped, and a box selects one of several.
    central: it is the one that detection.labelled_face finds, and an image that is a crop stays as it is; else the
    largest, or the one in the box.
    """
    rows, lumas = [], []
    for face, content, box in lot:
        try:
            image = preprocessing.decode(content, near=None if boxed or framing is not None else side)
            width, height = image.size
            note = {}
            if framing is not None:
                image, text = detect(image, box, framing, central)
                note = {"note": text}
            elif boxed:
                if box is None:
                    raise ImageError("no face box")
                image = preprocessing.crop_box(image, box, margin)
            image = preprocessing.fit(image, variant, side)
        except ImageError as error:
            rows.append({"face_id": face, "reject": str(error)})
            continue
        lumas.append(preprocessing.luma(image))
        row = {"face_id": face, "image": preprocessing.encode(image, quality), "width": width, "height": height}
        rows.append(row | note | {"sha256": hashlib.sha256(content).hexdigest()})
    if lumas:
        stack = np.stack(lumas)
        measured = zip(stack.mean((1, 2)).tolist(), preprocessing.perceptual_hash(stack).tolist(), strict=True)
        for row in rows:
            if "reject" not in row:
                row["brightness"], row["phash"] = next(measured)
    return rows


def detect(
    image: Image.Image, box: tuple[float, float, float, float] | None, framing: np.ndarray, central: bool
) -> tuple[Image.Image, str]:
    """Detect the face of a photo and crop it as prediction does; also returns how. Raises ImageError without a face."""
    faces = detector().detect(image)
    face = detection.labelled_face(faces, image.size, box=box) if central else detection.select_face(faces, box)
    if face is None and central:
        return image, AS_IT_IS
    if face is None:
        raise ImageError(detection.NO_FACE)
    how = ("framed by its box, since no face was found in it", "framed", "framed, one of several faces")
    return detection.crop_face(image, face, framing, detection.CROP_SIDE), how[min(len(faces), 2)]


def choose_framing(row: params.Variant, module: ModuleType, raw: Path) -> tuple[bool, np.ndarray | None]:
    """Whether faces are detected and framed, and the framing of the packed images, as detection.crop_face takes it.

    It is None for full photos. That of a table's images which are taken as they are is measured.
    """
    if row.variant == "full":
        return False, None
    usual = datasets.framing(module)
    if row.reader != "table" or row.crop == "detect":
        return row.variant == "detected" or row.crop == "detect", usual
    members = (member for archive in archives.list_archives(raw) for member in archives.members(archive))
    contents = (content for name, content in members if module.face_id(name) is not None)
    with ThreadPoolExecutor() as pool:
        seen = list(pool.map(functools.partial(look, detector()), some(contents, LOOKED_AT)))
    if row.crop is None and has_photos(row, collections.Counter(kind for kind, _ in seen)):
        return True, usual
    return False, measured_framing(row, [places for _, places in seen], usual)


def has_photos(row: params.Variant, kinds: collections.Counter[str]) -> bool:
    """Whether images of a table are photos, in which faces are detected; kinds: how many are a photo, crop or none."""
    photos, crops = kinds["photo"], kinds["crop"]
    framed = photos > MOST_PHOTOS * (photos + crops)
    name, share = f"{row.dataset}-{row.variant}", f"{detection.CROP_SHARE:.0%} of the shorter side"
    progress.say(
        f"{name}: of {kinds.total()} images looked at, the face fills less than {share} in {photos} and more in "
        f"{crops}; no face was found in {kinds['none']}. So "
        + ("faces are detected and framed" if framed else "each image is taken as one face, as it is")
        + f"; variants.{name}.crop in params.yaml says otherwise"
    )
    return framed


def some(items: Iterable[bytes], count: int) -> list[bytes]:
    """`count` of the items, or all if they are fewer, drawn with one seed in one pass (Vitter 1985, algorithm R)."""
    rng, kept = np.random.default_rng(0), []
    for number, item in enumerate(items):
        if number < count:
            kept.append(item)
        elif (place := int(rng.integers(number + 1))) < count:
            kept[place] = item
    return kept


def look(finder: detection.FaceDetector, content: bytes) -> tuple[str, np.ndarray | None]:
    """Whether an image is a crop, a photo with a face, or none that can be told; and the landmarks of its largest face.

    They are fractions of the side of the square that preprocessing.fit keeps.
    """
    try:
        image = preprocessing.decode(content)
    except ImageError:
        return "none", None
    faces = finder.detect(image)
    if not faces:
        return "none", None
    side = min(image.size)
    places = (faces[0].landmarks - (np.array(image.size) - side) / 2) / side
    return "crop" if detection.is_crop(faces, image.size) else "photo", places


def measured_framing(row: params.Variant, places: list[np.ndarray | None], usual: np.ndarray) -> np.ndarray:
    """The median of the landmarks of the images looked at, (5, 2) each; the usual framing where few show a face."""
    known = [landmarks for landmarks in places if landmarks is not None]
    enough = len(known) >= FEWEST
    progress.say(
        f"{row.dataset}-{row.variant}: a face was found in {len(known)} of {len(places)} images looked at. "
        + ("Its place there, in the median, is how" if enough else f"Fewer than {FEWEST} do not show its place, so")
        + f" prediction frames faces{'' if enough else ' as UTKFace does'}"
    )
    return np.median(known, axis=0) if enough else usual


def draw_sheet(out: Path) -> None:
    """Draw contact_sheet.jpg of a pack, on which wrong crops are seen: some faces, and the ends of their names."""
    packed = packs.Pack(out)
    rows = np.unique(np.linspace(0, len(packed.face_ids) - 1, SHEET).astype(int))
    small = [preprocessing.decode(content).resize((THUMBNAIL, THUMBNAIL)) for content in packed.images(rows)]
    names = [packed.face_ids[row][-NAME:] for row in rows]
    contact_sheet.draw([np.asarray(image) for image in small], names).save(out / "contact_sheet.jpg")


@functools.cache
def detector() -> detection.FaceDetector:
    """The detector of this process, on one thread, since every core has its own process."""
    return detection.FaceDetector(threads=1)


def no_picture(dataset: str, variant: str, reasons: collections.Counter[str]) -> str:
    """The error where no image was packed, with its remedy."""
    why = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3)) or "the archives hold none"
    hint = "; the sample's faces are not detected" if variant == "detected" else ""
    if variant == "cropped" and detection.NO_FACE in reasons:
        hint = f"; variants.{dataset}-{variant}.crop: none in params.yaml takes each image as it is"
    return (
        f"{dataset} {variant}: no image could be packed: {why}{hint}. Look at data/raw/{dataset}/{variant}, or "
        "remove the rows of this variant from variants and models in params.yaml"
    )


if __name__ == "__main__":
    running.stage(main)
