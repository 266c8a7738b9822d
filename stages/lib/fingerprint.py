"""What a training belongs to: a key of its code, params and data."""

import hashlib
import importlib
import json
import sys
from pathlib import Path

from stages.lib import params

QUIET = ("params", "progress", "tracking", "fingerprint", "running", "memory", "engine", "startup")  # change no result


def of(
    stage: str, name: str, rows: list[params.Model], p: params.Params, sections: tuple[str, ...], files: list[Path]
) -> str:
    """Key (16 hexadecimal digits) of a stage's run on rows of models: params sections, data files, the loaded code."""
    for row in rows:
        importlib.import_module(f"stages.lib.networks.{row.network}")  # its code counts, too
    values = p.model_dump(mode="json")
    chosen = {key: values[key] for key in sections} | {"models": [row.model_dump(mode="json") for row in rows]}
    files_of = [
        getattr(module, "__file__", None) for key, module in sys.modules.items() if f"{key}.".startswith("stages.")
    ]
    code = sorted(path for path in map(Path, filter(None, files_of)) if path.stem not in QUIET)
    data = [Path("data/splits") / f"{row.dataset}.csv" for row in rows]
    data += [Path("data/packs", row.dataset, row.variant, "pack.json") for row in rows]
    digest = hashlib.sha256(json.dumps([stage, name, chosen], sort_keys=True).encode())
    for path in [*code, *data, *files]:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
