"""Update MLflow's store after the project's folder was moved or copied: it holds absolute paths."""

from pathlib import Path

from faces.tracking import store


def main() -> None:
    """Rewrite the paths in mlflow.db, as `make check` and every stage that logs also do."""
    if not Path("mlflow.db").exists():
        raise SystemExit("there is no mlflow.db here: run this from the project's top folder, after `dvc repro`")
    with store.lock():
        old = store.relocate(Path.cwd())
    print(f"The store was moved from {old}; its paths are updated." if old else "The store was not moved.")


if __name__ == "__main__":
    main()
