"""Write a recipe into params.yaml: what differs for one published model, or a published table, from recipes/NAME.yaml.

It is merged into params.yaml as committed, so that nothing of another recipe stays. Comments stay, except those of rows
that are replaced. `git checkout params.yaml dvc.lock reports` restores what was there.
"""

from pathlib import Path

from commands import command_line
from faces import params
from faces.params import loading, recipes


def main() -> None:
    """Write params.yaml, check it, and print the next command."""
    parser = command_line.parser(__doc__)
    parser.add_argument("recipe", choices=recipes.names())
    parser.add_argument(
        "--source",
        default="official",
        help="where the archives are, as data.source: official, a folder or a URL; of a table, its folder",
    )
    args = parser.parse_args()
    table = args.recipe.startswith("tables/")
    if table and not Path(args.source).expanduser().is_dir():
        parser.error(f"--source {args.source}: is no folder; recipes/{args.recipe}.yaml says which one it must be")
    committed, current = recipes.committed(), loading.parse(params.PATH.read_text())
    known = [loading.parse(committed), *(recipes.expected(name) for name in recipes.names())]
    command_line.require(
        any(recipes.same(current, values) for values in known),
        f"{params.PATH} has changes of its own, which a recipe would overwrite: commit them, or type "
        f"`git checkout {params.PATH}` first",
    )
    editor = loading.yaml_editor()
    values = editor.load(committed)
    recipes.merge(values, editor.load(recipes.FOLDER / f"{args.recipe}.yaml"))
    values["data"] |= current["data"]
    if table:
        recipes.move_tables(values, lambda path: str(Path(args.source).expanduser().resolve() / path))
    else:
        values["data"]["source"] = args.source
    editor.dump(values, params.PATH)
    params.load()
    print(f"{params.PATH} is now that of {args.recipe}, with faces from {args.source}: type `dvc repro`")


if __name__ == "__main__":
    command_line.run(main)
