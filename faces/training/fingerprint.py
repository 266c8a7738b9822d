"""The key of a training: a hash of its code, params and data."""

import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import faces
from faces import params

# Code that changes no result, and the exceptions among it.
IGNORED = ("faces.params.", "faces.runtime.", "faces.scores.", "faces.tracking.", "faces.training.fingerprint.")
EXCEPTIONS = ("faces.params.overrides",)
PACKAGES = ("keras", "keras-tuner", "numpy", "pillow", "pyarrow", "scikit-learn", "scipy", "tensorflow")
STAGES = Path(faces.__file__).parents[1] / "stages"


def key(stage: str, name: str, rows: list[params.Model], values: Any, files: list[Path]) -> str:
    """Key (16 hexadecimal digits) of a stage's run on rows of models: its params, data files, code and packages.

    values: all else that the result depends on, as JSON takes it. The code is that of the stage, and what is loaded.
    """
    for row in rows:
        importlib.import_module(f"faces.networks.{row.network}")  # its code is part of the key
    code = sorted(Path(str(module.__file__)) for name, module in sys.modules.items() if _is_relevant(name))
    data = [Path("data/splits") / f"{row.dataset}.csv" for row in rows]
    data += [Path("data/packs", row.dataset, row.variant, "pack.json") for row in rows]
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    chosen = [stage, name, values, versions, [row.model_dump(mode="json") for row in rows]]
    digest = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode())
    for path in [STAGES / f"{stage}.py", *code, *data, *files]:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _is_relevant(name: str) -> bool:
    """Whether a module is of this project, and may change a result."""
    ours = f"{name}.".startswith("faces.")
    return name in EXCEPTIONS or (ours and not f"{name}.".startswith(IGNORED))
