"""What a training belongs to: a key of its code, params and data."""

import hashlib
import json
import sys
from pathlib import Path

from stages.lib import params

QUIET = ("params", "progress", "tracking", "fingerprint", "running")  # cannot change a result


def of(stage: str, name: str, p: params.Params, sections: tuple[str, ...], files: list[Path]) -> str:
    """Key (16 hexadecimal digits) of a stage's run on a model: params sections, data files and the loaded code."""
    row = p.models[name]
    values = p.model_dump(mode="json")
    chosen = {key: values[key] for key in sections} | {"model": values["models"][name]}
    code = sorted(
        Path(module.__file__)
        for key, module in sys.modules.items()
        if key.startswith("stages.") and getattr(module, "__file__", None) and Path(module.__file__).stem not in QUIET
    )
    data = [Path("data/splits") / f"{row.dataset}.csv", Path("data/packs", row.dataset, row.variant, "pack.json")]
    digest = hashlib.sha256(json.dumps([stage, name, chosen], sort_keys=True).encode())
    for path in [*code, *data, *files]:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
