"""Check params.yaml and the files that it names; repair what a move or a full disk broke.

It prints nothing where all is well. Outputs of models, teachers and datasets that params.yaml no longer names are
removed, so that nobody takes them for results. With --migrate, it only renames old keys of params in files; comments
stay.
"""

import re
import shutil
import sys
from pathlib import Path

import yaml

from commands import command_line
from faces import params
from faces.params import checks, loading, renamed
from faces.runtime import dvc_internals

# Folders with one entry for each model, teacher set or dataset.
OUTPUTS = {
    "models": ("data/tuned", "data/models", "data/calibrated", "data/evaluated", "mlruns/receipts", "reports/models"),
    "teachers": ("data/soft_targets",),
    "datasets": ("data/audits", "reports/audits"),
}


def main() -> None:
    """Check what may have changed, or been truncated on a full disk, since the last run."""
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--migrate",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="rename old params in these files (default: params.yaml)",
    )
    files = parser.parse_args().migrate
    if files is not None:
        for path in files or [params.PATH]:
            migrate(path)
        return
    if Path("dvc.yaml").exists() and not Path(".git").exists():
        sys.exit("This folder is no git repository, which DVC needs: type `git init`, then this again.")
    mend_environment(Path(sys.prefix))
    p = params.load()
    if missing := absent(p):
        sys.exit("\n".join(missing))
    remove_leftovers(p)
    dvc_internals.mend_lock()
    lock = Path("dvc.lock")
    try:
        yaml.safe_load(lock.read_bytes() if lock.exists() else b"")
    except yaml.YAMLError:
        sys.exit(f"{lock} cannot be read, perhaps truncated on a full disk: type `git checkout {lock}`")
    if Path("mlflow.db").exists():
        from faces.tracking import store

        with store.lock():
            if old := store.relocate(Path.cwd()):
                print(f"This folder was moved from {old}; the paths in MLflow's store are updated.")


def mend_environment(environment: Path) -> None:
    """Give the scripts of a virtual environment that was moved its new place, which each names in its first line."""
    config = environment / "pyvenv.cfg"
    match = re.search(r"(?m)^command = .* -m venv (?:--\S+ )*(.+)$", config.read_text() if config.exists() else "")
    former = match[1] if match else str(environment)
    if former == str(environment):
        return
    try:
        for path in [config, *(environment / "bin").iterdir()]:
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            if former.encode() in content:
                path.write_bytes(content.replace(former.encode(), str(environment).encode()))
        print(f"{environment} was moved from {former}: its scripts name the new place now.")
    except OSError as error:
        print(
            f"{environment} was moved from {former}, which its scripts still name ({error.strerror}): `make` works, "
            "and `rm -rf .venv && make setup` makes them anew."
        )


def migrate(path: Path) -> None:
    """Give the old keys of a YAML file their new names."""
    editor = loading.yaml_editor()
    values = editor.load(path)
    before = repr(values)
    renamed.translate(values)
    if path == params.PATH:
        renamed.complete(values)
    if repr(values) == before:
        print(f"{path} has no old names")
        return
    editor.dump(values, path)
    print(f"{path} has the new names; `git diff {path}` shows them")


def remove_leftovers(p: params.Params) -> None:
    """Remove the outputs of rows that params.yaml no longer has."""
    removed = False
    for section, folders in OUTPUTS.items():
        paths = [path for folder in map(Path, folders) if folder.exists() for path in sorted(folder.iterdir())]
        for name in sorted({path.stem for path in paths} - {*getattr(p, section), params.NO_TEACHERS}):
            old = [path for path in paths if path.stem == name]
            print(f"params.yaml has no {name} under {section}; removed: {', '.join(map(str, old))}")
            for path in old:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            removed = True
    if removed:
        print("If a row comes back, `dvc repro` writes them again; trained models come from DVC's cache.")


def absent(p: params.Params) -> list[str]:
    """A line for each file or folder of the user's that params.yaml names and that is missing."""
    paths = checks.user_files(p).items()
    return [f"{params.where(key)}: {path} is missing" for key, path in paths if not Path(path).exists()]


if __name__ == "__main__":
    command_line.run(main)
