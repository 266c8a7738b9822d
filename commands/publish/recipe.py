"""Put a recipe into params.yaml: what differs for one published model, from recipes/NAME.yaml.

It is put into params.yaml as it was committed, so that no recipe leaves traces in another. Comments stay, but for those
of rows that are replaced. `git checkout params.yaml dvc.lock reports` brings back what was there.
"""

import argparse
import subprocess
from pathlib import Path

import yaml as pure
from ruamel.yaml import YAML

from faces import params

FOLDER = Path("recipes")
WHOLE = ("models", "variants", "lessons", "tables", "space")  # replaced whole, rows and all


def main() -> None:
    """Write params.yaml, check it, and say what to type next."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=known())
    parser.add_argument(
        "--source", default="official", help="where the archives come from, as data.source: official, a folder or a URL"
    )
    words = parser.parse_args()
    kept = committed()
    now = pure.safe_load(params.PATH.read_text())
    if not any(same(now, each) for each in (kept, *(expected(name) for name in known()))):
        raise SystemExit(
            f"{params.PATH} has changes of its own, which a recipe would lose: commit them, or type "
            f"`git checkout {params.PATH}` first"
        )
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    values = yaml.load(kept)
    merge(values, yaml.load(FOLDER / f"{words.recipe}.yaml"))
    values["data"] |= now["data"] | {"source": words.source}
    yaml.dump(values, params.PATH)
    params.load()
    print(f"{params.PATH} is that of {words.recipe} now, with faces from {words.source}: type `dvc repro`")


def known() -> list[str]:
    """Names of the recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if "." not in path.stem)


def committed() -> str:
    """Text of params.yaml as the commit has it, into which recipes are put; as it is now where git does not know it."""
    found = subprocess.run(["git", "show", f"HEAD:./{params.PATH}"], capture_output=True, text=True, check=False)
    return found.stdout if found.returncode == 0 else params.PATH.read_text()


def expected(name: str) -> dict:
    """Values of params.yaml that the commit and a recipe give."""
    values = pure.safe_load(committed())
    merge(values, pure.safe_load((FOLDER / f"{name}.yaml").read_text()))
    return values


def same(values: dict, other: dict | str) -> bool:
    """Whether two params.yaml, as values or text, say the same of all but where the archives are."""
    other = pure.safe_load(other) if isinstance(other, str) else other
    return {**values, "data": None} == {**other, "data": None}


def run_to_split(dataset: str) -> None:
    """Run the pipeline as far as a dataset's split, in this tree. Raises SystemExit where it fails."""
    if subprocess.run(["dvc", "repro", f"split@{dataset}"], check=False).returncode:
        raise SystemExit("the pipeline did not run as far as the split")


def merge(values: dict, changes: dict) -> None:
    """Change a mapping in place, key by key and deep, but for the rows of WHOLE. Raises SystemExit at a strange key."""
    for key, value in changes.items():
        if key not in values:
            raise SystemExit(f"{key!r} of the recipe is not a key of params.yaml")
        if isinstance(value, dict) and key not in WHOLE and values[key]:
            merge(values[key], value)
        else:
            values[key] = value


if __name__ == "__main__":
    main()
