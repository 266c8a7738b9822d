"""The key of a training: a hash of its code, params and data."""

import hashlib
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from faces import params

# Code that changes no result, and the exceptions among it.
IGNORED = ("faces.params", "faces.runtime", "faces.tracking", "faces.training.fingerprint")
EXCEPTIONS = ("faces.params.overrides",)


def key(stage: str, name: str, rows: list[params.Model], values: Any, files: list[Path]) -> str:
    """Key (16 hexadecimal digits) of a stage's run on rows of models: its params, data files and the loaded code.

    values: all that the result depends on besides, as JSON takes it.
    """
    for row in rows:
        importlib.import_module(f"faces.networks.{row.network}")  # its code is part of the key
    code = sorted(Path(module.__file__) for name, module in sys.modules.items() if _is_relevant(name, module))
    data = [Path("data/splits") / f"{row.dataset}.csv" for row in rows]
    data += [Path("data/packs", row.dataset, row.variant, "pack.json") for row in rows]
    digest = hashlib.sha256(
        json.dumps([stage, name, values, [row.model_dump(mode="json") for row in rows]], sort_keys=True).encode()
    )
    for path in [*code, *data, *files]:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _is_relevant(name: str, module: ModuleType) -> bool:
    """Whether a loaded module is of this project, and may change a result."""
    if not f"{name}.".startswith(("faces.", "stages.")) or not getattr(module, "__file__", None):
        return False
    return name in EXCEPTIONS or not any(f"{name}.".startswith(f"{ignored}.") for ignored in IGNORED)
