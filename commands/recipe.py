"""Put a recipe into params.yaml: what differs for one published model, from recipes/NAME.yaml.

Comments stay, but for those of rows that are replaced. `git checkout params.yaml dvc.lock reports` brings back what
was there.
"""

import argparse
from pathlib import Path

from ruamel.yaml import YAML

from stages.lib import params

FOLDER = Path("recipes")
WHOLE = ("models", "variants", "lessons", "tables")  # their rows are replaced together


def main() -> None:
    """Write params.yaml, check it, and say what to type next."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    parser.add_argument("recipe", choices=known)
    parser.add_argument("--source", help="where the archives come from, as data.source: official, a folder or a URL")
    words = parser.parse_args()
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    values = yaml.load(params.PATH)
    merge(values, yaml.load(FOLDER / f"{words.recipe}.yaml"))
    if words.source:
        values["data"]["source"] = words.source
    yaml.dump(values, params.PATH)
    params.load()
    print(f"{params.PATH} is that of {words.recipe} now, with faces from {values['data']['source']}: type `dvc repro`")


def merge(values: dict, changes: dict, top: bool = True) -> None:
    """Change a mapping in place, key by key and deep, but for the rows of WHOLE. Raises SystemExit at a strange key."""
    for key, value in changes.items():
        if key not in values:
            raise SystemExit(f"{key!r} of the recipe is not a key of params.yaml")
        if isinstance(value, dict) and not (top and key in WHOLE) and values[key]:
            merge(values[key], value, top=False)
        else:
            values[key] = value


if __name__ == "__main__":
    main()
