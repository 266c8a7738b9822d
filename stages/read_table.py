"""Read the labels of one's own table: its labels file + data/raw/TABLE/cropped/ -> data/records/TABLE.csv."""

from pathlib import Path

from faces import params
from faces.data import archives, records
from faces.data.archives import ArchiveError
from faces.data.datasets import table
from faces.runtime import progress, running


def main(name: str) -> None:
    """Find each row's image, read its labels, and say which rows are unusable and why."""
    settings = params.load().tables[name]
    rows = table.read(settings, name)
    folder = Path("data/raw", name, "cropped")
    members = [member for path in archives.list_archives(folder) for member, _ in archives.members(path)]
    faces = records.frame(table.records(rows, settings, members))
    reasons = faces["reject"][faces["reject"] != ""].value_counts()
    counts = "; ".join(f"{count} x {reason}" for reason, count in reasons.head(5).items())
    if len(reasons) and (faces["reject"] != "").all():
        raise ArchiveError(f"{settings.labels}: no row can be used: {counts}. See `tables` in params.yaml")
    records.write(faces, f"data/records/{name}.csv")
    usable = (faces["reject"] == "").sum()
    progress.say(f"{name}: {usable} of {len(rows)} rows are usable{'; ' + counts if counts else ''}")


if __name__ == "__main__":
    running.stage(main)
