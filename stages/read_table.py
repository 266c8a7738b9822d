"""Read the labels of one's own table: its labels file + data/raw/D/cropped/ -> data/records/, data/boxes/D.csv."""

import difflib
from pathlib import Path

import numpy as np

from faces import params
from faces.data import archives, records, tables
from faces.data.archives import ArchiveError
from faces.data.datasets import table
from faces.runtime import progress, running


def main(name: str) -> None:
    """Find each row's image, read its labels, and say which rows are unusable and why."""
    p = params.load()
    settings, row = p.tables[name], p.variants[f"{name}-cropped"]
    if settings.columns.box is not None and row.crop == "none":
        progress.say(f"{name}: the columns of boxes are not read, since variants.{name}-cropped.crop is none")
        settings = table.without_boxes(settings)
    rows = table.read(settings, name)
    folder = Path("data/raw", name, "cropped")
    members = [member for path in archives.list_archives(folder) for member, _ in archives.members(path)]
    images = Path(row.images or "")
    if settings.columns.image is None:
        check_order(len(rows), members, images, archives.sources(folder), name)
    made, unknown = table.records(rows, settings, members, images.name)
    faces = records.frame(made)
    grouped = faces["reject"].str.replace(r"(?s)^(box is [^:]+): .*", r"\1", regex=True)
    reasons = grouped[grouped != ""].value_counts()
    counts = "; ".join(f"{count} x {reason}" for reason, count in reasons.head(5).items())
    if table.NOT_THERE in reasons:
        counts += f" ({hint(faces['face_id'][faces['reject'] == table.NOT_THERE].iloc[0], members)})"
    if reasons.index.str.startswith("age '").any():
        counts += f" (tables.{name}.ages in params.yaml may say how many years a word is)"
    if table.EMPTY_BOX in reasons:
        ends = "left, top, width, height" if settings.box_is == "size" else "left, top, right, bottom"
        counts += f" (boxes are {ends} in pixels: tables.{name}.box_is in params.yaml may say otherwise)"
    if len(made) < len(rows):
        counts += f"{'; ' if counts else ''}{len(rows) - len(made)} x repeats the image of another row"
    if len(reasons) and (faces["reject"] != "").all():
        raise ArchiveError(f"{settings.labels}: no row can be used: {counts}. See `tables` in params.yaml")
    for role, column in settings.columns.model_dump(exclude={"image", "box"}).items():
        if column is not None and faces["published" if role == "split" else role].isin(["", np.nan]).all():
            why = "; ".join(f"{count} x {reason}" for reason, count in unknown.items() if reason.startswith(role))
            raise ArchiveError(f"{settings.labels}: no row has a label of {role}: {why or f'{column} is empty'}")
    boxes = records.boxes(faces)
    if settings.columns.box is not None and not len(boxes):
        raise ArchiveError(f"{settings.labels}: no row has a usable box in {', '.join(settings.columns.box)}")
    records.write(faces, f"data/records/{name}.csv")
    records.write(boxes, f"data/boxes/{name}.csv")
    usable = (faces["reject"] == "").sum()
    progress.say(f"{name}: {usable} of {len(rows)} rows are usable{'; ' + counts if counts else ''}")
    for reason, count in sorted(unknown.items(), key=lambda item: -item[1])[:5]:
        progress.say(f"{name}: {count} x {reason}, so that label is left empty")


def check_order(count: int, members: list[str], images: Path, sources: list[str | None], name: str) -> None:
    """Raise ArchiveError unless the images are those of the present file, one for each of `count` rows, in their order.

    sources: sha256 of the file that each archive was made from.
    """
    if any(sources) and images.is_file() and archives.checksums(images)["sha256"] not in sources:
        raise ArchiveError(f"{images}: has changed since its images were read: `make fetch` reads them again")
    if members != tables.pixel_names(count):
        raise ArchiveError(
            f"tables.{name}.labels has {count} rows, and {images} has {len(members)} files, which are not one for each "
            f"row: name the column of their names, tables.{name}.columns.image in params.yaml"
        )


def hint(name: str, members: list[str]) -> str:
    """A name of an image that is not there, beside the one that is most like it."""
    images = [member for member in members if table.face_id(member) is not None]
    near = difflib.get_close_matches(name, images[:500], 1, 0.0)  # each takes up to 2 ms
    return f"for example {name!r}; " + (f"there is {near[0]!r}" if near else "the archive holds no image")


if __name__ == "__main__":
    running.stage(main)
