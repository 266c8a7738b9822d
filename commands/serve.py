"""Serve a model over HTTP by MLflow, for this machine only: the champion, or the shipped model where there is none.

POST photos to /invocations, as docs/use.md shows; it returns one row a face. It stops at Ctrl-C.
"""

import argparse
import os
import sys
from pathlib import Path

from faces.inference.predictor import SHIPPED, ModelError
from faces.tracking import model_choice

HOST = "127.0.0.1"


def main() -> None:
    """Replace this process by MLflow's server of the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a registered NAME, models:/NAME@ALIAS or models:/NAME/VERSION")
    parser.add_argument("--host", default=HOST, help=f"address to listen at; {HOST}, for this machine only")
    parser.add_argument("--port", type=int, default=5001)
    args = parser.parse_args()
    try:
        uri = model_uri(args.model)
    except ModelError as error:
        parser.error(str(error))
    print(f"{uri}: http://{args.host}:{args.port}/invocations", file=sys.stderr, flush=True)
    for name, folder in {"PYTHONPATH": Path.cwd(), "PATH": Path(sys.executable).parent}.items():
        os.environ[name] = os.pathsep.join(filter(None, [str(folder), os.environ.get(name)]))
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", uri, "--env-manager", "local"]
    os.execv(command[0], [*command, "--host", args.host, "--port", str(args.port)])


def model_uri(name: str | None) -> str:
    """URI of a model for MLflow: models:/NAME/VERSION, or the folder of the shipped one."""
    if name and name.endswith(".onnx"):
        raise ModelError(f"{name} is a file: only registered models, and the shipped one, can be served")
    served = model_choice.find(name)
    return str(SHIPPED.parent) if served.path == SHIPPED else f"models:/{served.version}"


if __name__ == "__main__":
    main()
