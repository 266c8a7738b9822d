"""Copy a registered model to a folder, from which `start_from` of a row of models can start.

The folder is data/copied/NAME-VERSION unless another is named. It holds the weights, the network and the ONNX file.
"""

import json
import shutil
import tempfile
from pathlib import Path

from commands import command_line
from faces.tracking import lineage, model_choice, registry, runs, store

FOLDER = Path("data/copied")
FILES = ("model.weights.h5", "network.json")  # that stages/log.py logs with a run


def main() -> None:
    """Download the files of a version and its run, check the weights, and move them to the folder at once."""
    parser = command_line.parser(__doc__)
    parser.add_argument("model", help="NAME for its champion, NAME@ALIAS or NAME/VERSION")
    parser.add_argument("folder", nargs="?", type=Path, help="a new folder")
    args = parser.parse_args()
    store.require_server()
    client, version, run = registry.find_version(model_choice.uri(args.model))
    label = f"{version.name}/{version.version}"
    folder = args.folder or FOLDER / label.replace("/", "-")
    command_line.require(not folder.exists(), f"{folder} is there: name another folder, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        files = Path(client.download_artifacts(run.info.run_id, "training", temporary))
        missing = [name for name in FILES if not (files / name).exists()]
        command_line.require(
            not missing,
            f"{label}: its run has no {', '.join(missing)}: an older version of this project made it. Train it again",
        )
        shutil.copyfile(registry.onnx_file(version), files / "model.onnx")
        text = runs.artifact(client, run, f"{lineage.folder(version.tags.get('onnx_sha256', ''))}/lineage.json")
        logged = json.loads(text or "{}").get("digests", {}).get(lineage.WEIGHTS)
        same = logged in (None, lineage.digest(files / "model.weights.h5"))
        command_line.require(same, f"{label}: its weights are not those that were logged: the store is damaged")
        files.rename(folder)
    print(f"{folder} has {label}. In a row of models: `start_from: {folder}`")


if __name__ == "__main__":
    command_line.run(main)
