"""What all commands share: their help, and an end without a traceback at Ctrl-C or where their output is not read."""

import argparse
import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from faces.inference.predictor import Predictor

STORES = ("mlflow", "requests", "sqlalchemy", "sqlite3")  # packages whose errors are those of MLflow's store
WRITTEN = ("data/", "reports/")  # where stages write


def parser(description: str) -> argparse.ArgumentParser:
    """A parser of the module that runs, `python -m NAME`; description: its docstring, which --help prints."""
    spec = sys.modules["__main__"].__spec__
    return argparse.ArgumentParser(
        f"python -m {spec.name.removesuffix('.__main__')}" if spec else None,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def require(condition: object, message: str) -> None:
    """End the command with a message, and exit status 1, unless a condition holds."""
    if not condition:
        raise SystemExit(message)


def load_model(name: str | None) -> tuple["Predictor", str]:
    """A model by its name, as model_choice.find takes it, and its version. Ends the command where there is none."""
    from faces.inference.predictor import ModelError, Predictor  # here, since most commands need no model
    from faces.tracking import model_choice

    try:
        chosen = model_choice.find(name)
        return Predictor(chosen.path), chosen.version
    except ModelError as error:
        stop(error)


def stop(error: object) -> NoReturn:
    """End the command with an error in one line, and exit status 2, as where an argument is wrong."""
    print(error, file=sys.stderr)
    sys.exit(2)


def run(main: Callable[[], None]) -> None:
    """Run the main function of a command; files of stages may be missing, and MLflow's store may be damaged.

    Standard output may be closed before the end, as by `| head`, and may not have all letters of a file's name.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)  # as shells report SIGINT
    except BrokenPipeError:
        sys.exit(141)  # as shells report SIGPIPE
    except FileNotFoundError as error:
        if not str(error.filename).startswith(WRITTEN):
            raise
        sys.exit(f"{error.filename} is missing: type `dvc repro` first")
    except Exception as error:
        kind = type(error)
        if kind.__module__.split(".")[0] not in STORES:
            raise
        remedy = "; move mlflow.db and mlruns away, and `dvc repro` makes them again"
        damaged = remedy if kind.__name__ == "DatabaseError" else ""
        sys.exit(f"MLflow's store cannot be used: {(str(error) or kind.__name__).splitlines()[0]}{damaged}")
    finally:
        try:
            print(end="", flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at exit
