"""Registered models: versions, aliases and promotions."""

import contextlib
import re
import time
from pathlib import Path

import mlflow
from mlflow.entities import LoggedModel, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient

from faces.inference.predictor import ModelError
from faces.tracking import model_choice, store


def register(client: MlflowClient, name: str, run: Run, model: LoggedModel, tags: dict[str, str]) -> ModelVersion:
    """Return the version of a logged model under a registered name, created if there is none; set its tags."""
    with contextlib.suppress(MlflowException):
        client.create_registered_model(name)
    for version in client.search_model_versions(f"name = '{name}'"):
        # MLflow's stores keep a version's run and path, not its model
        if version.run_id == run.info.run_id and model.model_id in (version.source or "").split("/"):
            for key, value in tags.items():
                client.set_model_version_tag(name, version.version, key, value)
            return client.get_model_version(name, version.version)
    return client.create_model_version(
        name, model.artifact_location, run_id=run.info.run_id, tags=tags, model_id=model.model_id
    )


def promote(client: MlflowClient, name: str, version: str, before: ModelVersion | None, reason: str) -> None:
    """Make a version champion and log it: when (UTC), which version it replaces, why; before: the last champion."""
    old = f"version {before.version}" if before is not None else "none"
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} UTC: {old} -> version {version}; {reason}"
    lines = [*promotions(client, name), line]
    while len("\n".join(lines)) > 4500:  # a tag may hold 5000
        lines.pop(0)
    client.set_registered_model_tag(name, "promotions", "\n".join(lines))
    client.set_registered_model_alias(name, "champion", version)


def promotions(client: MlflowClient, name: str) -> list[str]:
    """Lines that promote logged, the oldest first."""
    return client.get_registered_model(name).tags.get("promotions", "").splitlines()


def find_version(uri: str) -> tuple[MlflowClient, ModelVersion, Run]:
    """Client, version and run of models:/NAME@ALIAS or models:/NAME/VERSION. Raises SystemExit if there is none."""
    match = re.fullmatch(r"models:/([^/@]+)(?:@(.+)|/(\d+))", uri)
    if not match:
        raise SystemExit(f"{uri}: is not models:/NAME@ALIAS or models:/NAME/VERSION")
    name, alias, number = match.groups()
    client = store.open_client()
    try:
        version = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
    except MlflowException as error:
        rows = versions(client)
        own = [
            f"{row.name}/{row.version}{f' ({row.aliases[0]})' if row.aliases else ''}"
            for row in rows
            if row.name == name
        ]
        known = ", ".join(own or sorted({row.name for row in rows}))
        raise SystemExit(f"{uri}: is not registered ({error.message}); there are: {known or 'none'}") from None
    return client, version, client.get_run(version.run_id or "")


def versions(client: MlflowClient) -> list[ModelVersion]:
    """Registered versions, with their aliases: champions first, then by name, the newest first."""
    aliases = {model.name: model.aliases.items() for model in client.search_registered_models()}
    rows = client.search_model_versions()  # a server may leave out their aliases
    for row in rows:
        row.aliases = [alias for alias, number in aliases.get(row.name, ()) if str(number) == str(row.version)]
    return sorted(rows, key=lambda row: ("champion" not in row.aliases, row.name, -int(row.version)))


def onnx_file(version: ModelVersion) -> Path:
    """The ONNX file of a registered version; downloaded to a temporary folder if the store is on a server.

    Raises SystemExit if the file is missing.
    """
    uri = f"models:/{version.name}/{version.version}"
    with contextlib.suppress(MlflowException, OSError, ModelError):
        return model_choice.onnx_file(Path(mlflow.artifacts.download_artifacts(uri)))
    raise SystemExit(f"{uri}: its files are missing: `dvc repro` restores them")


def version_by_alias(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version that an alias names; None if there is no such alias or model. Raises MlflowException for all else."""
    try:
        number = client.get_registered_model(name).aliases.get(alias)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return None
    return None if number is None else client.get_model_version(name, number)
