"""Open the MLflow UI, and print where to compare the runs of each experiment. It stops at Ctrl-C."""

import os
import sys

from commands import command_line
from faces.tracking import model_choice, store


def main() -> None:
    """Replace this process by MLflow's server of the UI."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--port", type=int, default=5000, help="port to listen at (default: %(default)s)")
    port = parser.parse_args().port
    command_line.require(model_choice.has_store(), "there are no runs yet: type `dvc repro` first")
    store.require_server()
    print("Addresses, once the server runs:")
    for name, page in store.ui_pages().items():
        print(f"  {name}:\n    http://127.0.0.1:{port}/{page}", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", "--port", str(port)])


if __name__ == "__main__":
    command_line.run(main)
