"""What all commands share: their help, and an end without a traceback at Ctrl-C or where their output is not read."""

import argparse
import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn

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


def stop(error: Exception) -> NoReturn:
    """End the command with an error in one line, and exit status 2, as where an argument is wrong."""
    print(error, file=sys.stderr)
    sys.exit(2)


def run(main: Callable[[], None]) -> None:
    """Run the main function of a command; a file that a stage should have written may be missing.

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
    finally:
        try:
            print(end="", flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at exit
