"""Look at a mirror, or at one's own pictures, again; `dvc repro` then runs what follows from a changed one."""

import subprocess
import sys

from faces import params


def main() -> None:
    """Run the downloads though DVC sees no reason to; where one fails, put back what was there."""
    p = params.load()
    mirror = p.data.source not in ("sample", "official")
    keys = [key for key, row in p.variants.items() if mirror or row.pictures is not None]
    if not keys:
        sys.exit(f"data.source is {p.data.source}: only a mirror, a folder or a URL, can change")
    for key in keys:
        name = f"download@{key}"
        if subprocess.run(["dvc", "repro", "--force", "--single-item", name], check=False).returncode:
            subprocess.run(["dvc", "checkout", name], check=False)
            sys.exit(f"{name} failed; the archives that were there before are back")
    print("Fetched. `dvc repro` runs what follows, if anything changed.")


if __name__ == "__main__":
    main()
