"""Which model speaks: the one that is named, else the champion of faces-utkface, else the shipped one."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from faces.inference.predictor import SHIPPED, ModelError
from faces.runtime import running

REGISTERED = "faces-utkface"


@dataclass(frozen=True)
class Served:
    """A model's ONNX file, and the version that a prediction is to be told with."""

    path: Path
    version: str


def find(named: str | None = None) -> Served:
    """The model of a name: an ONNX file, models:/NAME@ALIAS, models:/NAME/VERSION, or NAME for its champion.

    Without one, the champion of REGISTERED, or the shipped model where there is none. Raises ModelError where what is
    named is not there.
    """
    if named is None:
        return champion() or of_file(SHIPPED)
    if Path(named).suffix == ".onnx":
        if not Path(named).is_file():
            raise ModelError(f"{named} is not a file")
        return of_file(Path(named))
    if not has_store():
        raise ModelError(f"{named}: no model is registered here: `dvc repro` does, or name a file, which ends in .onnx")
    return of_store(named if named.startswith("models:/") else f"models:/{named}@champion")


def has_store() -> bool:
    """Whether there is a store of MLflow's, which takes seconds to load and would make one."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or (running.root() / "mlflow.db").exists()


def champion() -> Served | None:
    """The champion of REGISTERED, None where there is none, or no store."""
    if not has_store():
        return None
    from faces.tracking import registry, store

    if registry.alias(store.open_client(), REGISTERED, "champion") is None:
        return None
    return of_store(f"models:/{REGISTERED}@champion")


def registered() -> list[str]:
    """NAME/VERSION of all registered versions: the champion that speaks first, then other champions, then the newest.

    None without a store. Raises ModelError where the store does not answer.
    """
    if not has_store():
        return []
    from faces.tracking import registry, store

    try:
        found = registry.versions(store.open_client())
    except store.UNREACHABLE as error:
        raise ModelError(f"MLflow does not answer, so that no registered model is known: {error}") from None
    speaks = [each for each in found if each.name == REGISTERED and "champion" in each.aliases]
    return [f"{each.name}/{each.version}" for each in (*speaks, *(each for each in found if each not in speaks))]


def of_store(uri: str) -> Served:
    """A registered version, its file fetched where it is elsewhere. Raises ModelError where there is none."""
    from faces.tracking import registry

    try:
        _, version, _ = registry.by_uri(uri)
        return Served(registry.onnx_of(version), f"{version.name}/{version.version}")
    except SystemExit as error:
        raise ModelError(f"{error}; a file of a model ends in .onnx") from None


def of_file(path: Path) -> Served:
    """A file, told by its name and the first digits of its sha256."""
    return Served(path, f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}")
