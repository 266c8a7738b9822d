"""What a training belongs to: a key of its code, params and data; and a lock on what it leaves on disk meanwhile."""

import contextlib
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock

from stages.lib import params

PARTIAL = Path("data/partial")


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


QUIET = ("params", "progress", "tracking", "fingerprint")  # cannot change a result


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a folder alone, and remove it when the work in it has succeeded.

    Raises SystemExit, naming the file, where another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = filelock.FileLock(folder / "lock", timeout=1)
    try:
        held.acquire()
    except filelock.Timeout:
        raise SystemExit(f"another process is at this work and holds {folder}/lock: wait for it or stop it") from None
    try:
        yield
    except BaseException:
        held.release()
        raise
    held.release()
    shutil.rmtree(folder, ignore_errors=True)
