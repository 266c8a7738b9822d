"""Mend MLflow's store after the project's folder was moved or copied: it holds whole paths."""

from pathlib import Path

from faces.tracking import store


def main() -> None:
    """Rewrite the paths of mlflow.db; `make check`, and every stage that logs, do the same by themselves."""
    if not Path("mlflow.db").exists():
        raise SystemExit("there is no mlflow.db here: run this from the project's top folder, after `dvc repro`")
    with store.lock():
        was = store.relocate(Path.cwd())
    print(f"The store was at {was}; its runs and models are found here now." if was else "The store is at its place.")


if __name__ == "__main__":
    main()
