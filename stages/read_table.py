"""Read the labels of one's own table: its labels file + data/raw/TABLE/cropped/ -> data/records/TABLE.csv."""

import difflib
from pathlib import Path

import numpy as np

from faces import params, targets
from faces.data import archives, records
from faces.data.archives import ArchiveError
from faces.data.datasets import table
from faces.runtime import progress, running


def main(name: str) -> None:
    """Find each row's image, read its labels, and say which rows are unusable and why."""
    p = params.load()
    settings = p.tables[name]
    rows = table.read(settings, name)
    folder = Path("data/raw", name, "cropped")
    members = [member for path in archives.list_archives(folder) for member, _ in archives.members(path)]
    made, unknown = table.records(rows, settings, members, Path(p.variants[f"{name}-cropped"].images or "").name)
    faces = records.frame(made)
    reasons = faces["reject"][faces["reject"] != ""].value_counts()
    counts = "; ".join(f"{count} x {reason}" for reason, count in reasons.head(5).items())
    if table.NOT_THERE in reasons:
        counts += f" ({hint(faces['face_id'][faces['reject'] == table.NOT_THERE].iloc[0], members)})"
    if reasons.index.str.startswith("age '").any():
        counts += f" (tables.{name}.ages in params.yaml may say how many years a word is)"
    if len(reasons) and (faces["reject"] != "").all():
        raise ArchiveError(f"{settings.labels}: no row can be used: {counts}. See `tables` in params.yaml")
    for target, column in settings.columns.model_dump().items():
        if column is not None and target in targets.TARGETS and (faces[target].isin(["", np.nan])).all():
            why = "; ".join(f"{count} x {reason}" for reason, count in unknown.items() if reason.startswith(target))
            raise ArchiveError(f"{settings.labels}: no row has a label of {target}: {why or f'{column} is empty'}")
    records.write(faces, f"data/records/{name}.csv")
    usable = (faces["reject"] == "").sum()
    progress.say(f"{name}: {usable} of {len(rows)} rows are usable{'; ' + counts if counts else ''}")
    for reason, count in sorted(unknown.items(), key=lambda item: -item[1])[:5]:
        progress.say(f"{name}: {count} x {reason}, so that label is left empty")


def hint(name: str, members: list[str]) -> str:
    """A name of an image that is not there, beside the one that is most like it."""
    images = [member for member in members if table.face_id(member) is not None]
    near = difflib.get_close_matches(name, images[:10_000], 1, 0.0)
    return f"for example {name!r}; " + (f"there is {near[0]!r}" if near else "the archive holds no image")


if __name__ == "__main__":
    running.stage(main)
