"""Look at a mirror again: fetch its archives anew; `dvc repro` then runs what follows from a changed one."""

import subprocess
import sys

from stages.lib import params


def main() -> None:
    """Run the downloads though DVC sees no reason to; where one fails, put back what was there."""
    p = params.load()
    if p.data.source in ("sample", "official"):
        sys.exit(f"data.source is {p.data.source}: only a mirror, a folder or a URL, can change")
    for key in p.variants:
        name = f"download@{key}"
        if subprocess.run(["dvc", "repro", "--force", "--single-item", name], check=False).returncode:
            subprocess.run(["dvc", "checkout", name], check=False)
            sys.exit(f"{name} failed; the archives that were there before are back")
    print("Fetched. `dvc repro` runs what follows, if anything changed.")


if __name__ == "__main__":
    main()
