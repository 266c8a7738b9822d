"""Check params.yaml, saying each fault with its line, and follow a folder that was moved; silent where all is well."""

from pathlib import Path

from stages.lib import params


def main() -> None:
    """Check what a person may have changed since the last run."""
    params.load()
    if Path("mlflow.db").exists():
        from stages.lib import tracking

        with tracking.turn():
            was = tracking.follow(Path.cwd())
        if was:
            print(f"This folder was at {was}; MLflow's runs and models are found here now.")


if __name__ == "__main__":
    main()
