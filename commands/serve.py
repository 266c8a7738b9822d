"""Serve a model over HTTP by MLflow, on this machine alone: the champion, or the shipped model where there is none.

POST pictures to /invocations, as README.md shows; one row a face comes back. It stops at Ctrl-C.
"""

import argparse
import os
import sys
from pathlib import Path

from faces.inference.predictor import SHIPPED, ModelError
from faces.tracking import model_choice

HOST = "127.0.0.1"


def main() -> None:
    """Become MLflow's own server of the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a registered NAME, models:/NAME@ALIAS or models:/NAME/VERSION")
    parser.add_argument("--host", default=HOST, help=f"address to listen at; {HOST}, which others cannot reach")
    parser.add_argument("--port", type=int, default=5001)
    words = parser.parse_args()
    try:
        uri = place(words.model)
    except ModelError as error:
        parser.error(str(error))
    print(f"{uri}: http://{words.host}:{words.port}/invocations", file=sys.stderr, flush=True)
    for name, folder in {"PYTHONPATH": Path.cwd(), "PATH": Path(sys.executable).parent}.items():
        os.environ[name] = os.pathsep.join(filter(None, [str(folder), os.environ.get(name)]))
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", uri, "--env-manager", "local"]
    os.execv(command[0], [*command, "--host", words.host, "--port", str(words.port)])


def place(named: str | None) -> str:
    """Where MLflow finds the model: models:/NAME/VERSION, or the folder of the shipped one."""
    if named and named.endswith(".onnx"):
        raise ModelError(f"{named} is a file: what is served is registered, or shipped")
    served = model_choice.find(named)
    return str(SHIPPED.parent) if served.path == SHIPPED else f"models:/{served.version}"


if __name__ == "__main__":
    main()
