"""Registered models: versions, aliases and promotions."""

import contextlib
import re
import time
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import LoggedModel, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from faces.tracking import store


def register(client: MlflowClient, name: str, run: Run, model: LoggedModel, tags: dict[str, str]) -> str:
    """Return the version of a logged model under a registered name, made where there is none; it has the tags."""
    with contextlib.suppress(MlflowException):
        client.create_registered_model(name)
    for version_ in client.search_model_versions(f"name = '{name}'"):
        # MLflow's stores keep a version's run and place, not its model
        if version_.run_id == run.info.run_id and model.model_id in version_.source.split("/"):
            for key, value in tags.items():
                client.set_model_version_tag(name, version_.version, key, value)
            return str(version_.version)
    made = client.create_model_version(
        name, model.artifact_location, run_id=run.info.run_id, tags=tags, model_id=model.model_id
    )
    return str(made.version)


def promote(client: MlflowClient, name: str, version: str, before: Any, why: str) -> None:
    """Make a version champion, and log it: when (UTC), in whose place, why; before: the version that was, or None."""
    was = f"version {before.version}" if before is not None else "none"
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} UTC: {was} -> version {version}; {why}"
    log = client.get_registered_model(name).tags.get("promotions", "")
    lines = [*log.splitlines(), line]
    while len("\n".join(lines)) > 4500:  # of 5000 that a tag may hold
        lines.pop(0)
    client.set_registered_model_tag(name, "promotions", "\n".join(lines))
    client.set_registered_model_alias(name, "champion", version)


def promotions(client: MlflowClient, name: str) -> list[str]:
    """Lines that promote logged, the oldest first."""
    return client.get_registered_model(name).tags.get("promotions", "").splitlines()


def by_uri(uri: str) -> tuple[MlflowClient, Any, Run]:
    """Client, version and run of models:/NAME@ALIAS or models:/NAME/VERSION. Raises SystemExit where there is none."""
    found = re.fullmatch(r"models:/([^/@]+)(?:@(.+)|/(\d+))", uri)
    if not found:
        raise SystemExit(f"{uri}: is not models:/NAME@ALIAS or models:/NAME/VERSION")
    name, label, number = found.groups()
    client = store.open_client()
    try:
        version_ = client.get_model_version_by_alias(name, label) if label else client.get_model_version(name, number)
    except MlflowException as error:
        known = sorted(model.name for model in client.search_registered_models())
        raise SystemExit(
            f"{uri}: is not registered ({error.message}); there are: {', '.join(known) or 'none'}"
        ) from None
    return client, version_, client.get_run(version_.run_id)


def versions(client: MlflowClient) -> list[Any]:
    """Registered versions, with their aliases: champions first, then by name, the newest first."""
    found = []
    for model in client.search_registered_models():
        for each in client.search_model_versions(f"name = '{model.name}'"):
            each.aliases = [label for label, number in model.aliases.items() if str(number) == str(each.version)]
            found.append(each)
    return sorted(found, key=lambda each: ("champion" not in each.aliases, each.name, -int(each.version)))


def onnx_of(version_: Any) -> Path:
    """The ONNX file of a registered version; fetched to a temporary folder where the store is a server's.

    Raises SystemExit where the store has lost it.
    """
    uri = f"models:/{version_.name}/{version_.version}"
    with contextlib.suppress(MlflowException, OSError):
        found = sorted(Path(mlflow.artifacts.download_artifacts(uri)).glob("artifacts/*.onnx"))
        if found:
            return found[0]
    raise SystemExit(f"{uri}: its files are gone: `dvc repro` brings them back")


def alias(client: MlflowClient, name: str, label: str) -> Any:
    """Return the version that an alias names, or None."""
    try:
        return client.get_model_version_by_alias(name, label)
    except MlflowException:
        return None
