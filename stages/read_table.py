"""Read the labels of one's own table: its labels file + data/raw/TABLE/cropped/ -> data/records/TABLE.csv."""

from pathlib import Path

from faces import params
from faces.data import archives, records
from faces.data.archives import ArchiveError
from faces.data.datasets import table
from faces.runtime import progress, running


def main(name: str) -> None:
    """Find each row's picture, read its labels, and say which rows are unusable and why."""
    settings = params.load().tables[name]
    rows = table.read(settings, name)
    folder = Path("data/raw", name, "cropped")
    members = [member for path in archives.list_archives(folder) for member, _ in archives.members(path)]
    found = records.frame(table.records(rows, settings, members))
    reasons = found["reject"][found["reject"] != ""].value_counts()
    told = "; ".join(f"{count} x {reason}" for reason, count in reasons.head(5).items())
    if len(reasons) and (found["reject"] != "").all():
        raise ArchiveError(f"{settings.labels}: no row can be used: {told}. See `tables` in params.yaml")
    records.write(found, f"data/records/{name}.csv")
    progress.say(f"{name}: {(found['reject'] == '').sum()} of {len(rows)} rows are usable{'; ' + told if told else ''}")


if __name__ == "__main__":
    running.stage(main)
