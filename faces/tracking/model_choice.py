"""The model that predicts: the one that is named, else the champion of faces-utkface, else the shipped one."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from faces.images import detection
from faces.inference.predictor import SHIPPED, ModelError
from faces.runtime import running

REGISTERED = "faces-utkface"
SHIPPED_INSTEAD = f"--model {SHIPPED.parent} predicts with the shipped model"


@dataclass(frozen=True)
class ChosenModel:
    """A model's ONNX file, and the version that is shown with its predictions."""

    path: Path
    version: str


def find(name: str | None = None) -> ChosenModel:
    """Find a model by name: an ONNX file, a model's folder, [models:/]NAME@ALIAS, [models:/]NAME/VERSION, or NAME.

    NAME is its champion. Without a name, the champion of REGISTERED, or the shipped model if there is none. The file
    of a registered model is downloaded if the store is on a server. Raises ModelError if there is no model of that
    name.
    """
    if name is None:
        name = f"models:/{REGISTERED}@champion" if has_champion() else str(SHIPPED)
    if Path(name).is_dir():
        return from_file(onnx_file(Path(name)))
    if Path(name).suffix == ".onnx":
        if not Path(name).is_file():
            raise ModelError(f"{name} is not a file")
        return from_file(Path(name))
    if not has_store():
        raise ModelError(
            f"{name}: no model is registered here: run `dvc repro`, or name a file that ends in .onnx, or its folder"
        )
    from faces.tracking import registry, store

    try:
        _, version, _ = store.ask(lambda: registry.find_version(uri(name)))
        return ChosenModel(registry.onnx_file(version), f"{version.name}/{version.version}")
    except SystemExit as error:
        raise ModelError(f"{error}; the name of a model file ends in .onnx") from None
    except store.StoreError as error:
        raise ModelError(f"{error}; {SHIPPED_INSTEAD}") from None


def uri(name: str) -> str:
    """MLflow's address of a registered model, models:/NAME@ALIAS or models:/NAME/VERSION; NAME is its champion."""
    whole = name.startswith("models:/") or re.fullmatch(r"[^/@]+(@.+|/\d+)", name)
    return f"models:/{name.removeprefix('models:/')}" + ("" if whole else "@champion")


def has_store() -> bool:
    """Whether there is an MLflow store; without importing mlflow, which takes seconds and would create one."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or (running.root() / "mlflow.db").exists()


def has_champion() -> bool:
    """Whether there is a champion of REGISTERED. Raises ModelError if the store does not answer."""
    if not has_store():
        return False
    from faces.tracking import registry, store

    try:
        return store.ask(lambda: registry.version_by_alias(store.open_client(), REGISTERED, "champion")) is not None
    except store.StoreError as error:
        raise ModelError(f"{error}, so the champion is unknown; {SHIPPED_INSTEAD}") from None


def registered() -> tuple[list[str], str]:
    """NAME/VERSION of all registered versions, champions first, then the newest; and the champion of REGISTERED, or ''.

    None without a store. Raises ModelError if the store does not answer.
    """
    if not has_store():
        return [], ""
    from faces.tracking import registry, store

    try:
        versions = store.ask(lambda: registry.versions(store.open_client()))
    except store.StoreError as error:
        raise ModelError(f"{error}, so the registered models are unknown") from None
    labels = {f"{version.name}/{version.version}": version for version in versions}
    champions = [label for label, row in labels.items() if row.name == REGISTERED and "champion" in row.aliases]
    return list(labels), next(iter(champions), "")


def onnx_file(folder: Path) -> Path:
    """The ONNX file of a model's folder, shipped or as MLflow writes it. Raises ModelError unless there is one."""
    files = [path for pattern in ("*.onnx", "artifacts/*.onnx") for path in folder.glob(pattern)]
    files = [path for path in files if path.name != detection.WEIGHTS and not path.name.endswith(".int8.onnx")]
    if len(files) != 1:
        raise ModelError(f"{folder}: has {len(files)} ONNX files of models, where one is needed: name a file")
    return files[0]


def from_file(path: Path) -> ChosenModel:
    """A file; its version is its name and the first digits of its sha256."""
    with path.open("rb") as file:
        return ChosenModel(path, f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()[:8]}")
