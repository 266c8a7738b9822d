"""Serve a model over HTTP by MLflow, for this machine only: the champion, or the shipped model where there is none.

POST photos to /invocations, as docs/use.md shows; it returns one row for each face. It stops at Ctrl-C.
"""

import sys
from pathlib import Path

from commands import command_line
from faces.inference.predictor import SHIPPED, ModelError
from faces.tracking import model_choice

HOST = "127.0.0.1"


def main() -> None:
    """Run MLflow's server of the model, with limits on its requests."""
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--model", help="a registered NAME, models:/NAME@ALIAS, models:/NAME/VERSION or a model's folder"
    )
    parser.add_argument(
        "--host", default=HOST, help="address to listen at (default: %(default)s, for this machine only)"
    )
    parser.add_argument("--port", type=int, default=5001, help="port to listen at (default: %(default)s)")
    args = parser.parse_args()
    folder = Path(args.model or SHIPPED)
    if args.model and args.model.endswith(".onnx"):
        parser.error(f"{args.model} is a file: only registered models, and folders with an MLmodel, can be served")
    if folder.is_dir() and not (folder / "MLmodel").is_file():
        parser.error(f"{folder} has no MLmodel: only registered models, and folders with one, can be served")
    try:
        served = model_choice.find(args.model)
    except ModelError as error:
        command_line.stop(error)
    if served.path == SHIPPED:
        folder = SHIPPED.parent
    uri = str(folder) if folder.is_dir() else f"models:/{served.version}"
    print(f"{uri}: http://{args.host}:{args.port}/invocations", file=sys.stderr, flush=True)
    from faces.tracking import server  # here, since it takes seconds, and an error above should not wait for it

    server.run(uri, args.host, args.port)


if __name__ == "__main__":
    command_line.run(main)
