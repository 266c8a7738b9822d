"""Start the services that a group shares, to try them on this machine: PostgreSQL, S3, and MLflow's server on both.

It prints what to type in another shell, and runs until Ctrl-C; their data stays in data/services for the next start.
They accept connections from this machine only, with passwords made at the first start. PostgreSQL is Debian's
(`apt-get install postgresql`), the S3 server is rclone, MLflow is that of this environment (`make setup CLUSTER=1`).
"""

import contextlib
import getpass
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from commands import command_line
from faces.runtime import ports

BUCKET, DATABASE = "faces", "mlflow"
PATIENCE = 60.0  # seconds for a service to start
KEYS = "keys.json"


def main() -> None:
    """Start the services in order, and stop them in reverse order."""
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path("data/services"), help="where they keep their data (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=5000,
        help="port of MLflow; the next two are those of PostgreSQL and S3 (default: %(default)s)",
    )
    args = parser.parse_args()
    folder = args.folder.absolute()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    folder.mkdir(parents=True, exist_ok=True)
    keys = load_keys(folder / KEYS)
    mlflow, postgres, s3 = (f"{args.port + i}" for i in range(3))
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
        "AWS_ACCESS_KEY_ID": keys["id"],
        "AWS_SECRET_ACCESS_KEY": keys["secret"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",  # rclone sends the whole file's with each part
    }
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        stack.enter_context(database(folder / "postgres", postgres, keys["password"]))
        stack.enter_context(objects(folder / "s3", s3, keys))
        stack.enter_context(tracking(folder, mlflow, postgres, keys["password"], environment))
        print(instructions(mlflow, environment), flush=True)
        signal.pause()


def load_keys(path: Path) -> dict[str, str]:
    """Passwords, made at the first start; no other user of this machine can read them."""
    if not path.exists():
        path.touch(mode=0o600)
        keys = {"id": "faces", "secret": secrets.token_urlsafe(24), "password": secrets.token_urlsafe(24)}
        path.write_text(json.dumps(keys))
    return json.loads(path.read_text())


def instructions(mlflow: str, environment: dict[str, str]) -> str:
    """What to type in a shell that uses the services."""
    lines = [
        *("", "All three run. In another shell, in the project's folder, type:", ""),
        *(f"export {key}={value}" for key, value in environment.items()),
        f"export MLFLOW_TRACKING_URI=http://127.0.0.1:{mlflow}",
        f"dvc remote add --local --force --default shared s3://{BUCKET}/dvc",
        f"dvc remote modify --local shared endpointurl {environment['AWS_ENDPOINT_URL']}",
        "",
    ]
    return "\n".join(lines)


@contextlib.contextmanager
def database(folder: Path, port: str, password: str) -> Iterator[None]:
    """PostgreSQL, with a database for MLflow."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    binaries = programs[-1] if programs else Path(shutil.which("postgres") or "").parent
    command_line.require(
        (binaries / "initdb").exists(), "PostgreSQL is not installed: `apt-get install postgresql` on Debian"
    )
    root = getpass.getuser() == "root"  # as whom PostgreSQL refuses to run
    user = ["runuser", "-u", "postgres", "--"] if root else []
    folder.mkdir(exist_ok=True, mode=0o700)
    if root:
        shutil.chown(folder, "postgres", "postgres")
    if not (folder / "PG_VERSION").exists():
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(password)
            file.flush()
            if root:
                shutil.chown(file.name, "postgres")
            options = ["--auth=scram-sha-256", f"--pwfile={file.name}", "--username=faces", "--encoding=UTF8"]
            command = [*user, binaries / "initdb", *options, "--locale=C.UTF-8", "-D", folder]
            done = subprocess.run(command, text=True, capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"PostgreSQL cannot be set up in {folder}: {done.stderr.strip() or done.stdout.strip()}")
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    command = [*user, binaries / "postgres", "-D", folder, "-p", port, *settings]
    with running("PostgreSQL", command, port, folder.parent, signal.SIGINT):
        environment = {**os.environ, "PGPASSWORD": password}
        command = [binaries / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "faces", DATABASE]
        end = time.monotonic() + PATIENCE
        while True:  # it accepts connections before it accepts commands
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if not done.returncode or "already exists" in done.stderr:
                break
            if time.monotonic() > end:
                sys.exit(f"PostgreSQL cannot create a database: {done.stderr.strip()}")
            time.sleep(0.5)
        yield


def objects(folder: Path, port: str, keys: dict[str, str]) -> contextlib.AbstractContextManager[None]:
    """An S3 server on a folder, with one bucket."""
    rclone = Path(sys.executable).with_name("rclone")
    command_line.require(rclone.exists(), "rclone is not installed: `make setup CLUSTER=1` installs it")
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"RCLONE_AUTH_KEY": f'"{keys["id"]},{keys["secret"]}"'}  # a list of one pair
    command = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--config", os.devnull, folder]
    return running("The S3 server", command, port, folder.parent, env=environment)


def tracking(
    folder: Path, port: str, database: str, password: str, access: dict[str, str]
) -> contextlib.AbstractContextManager[None]:
    """MLflow's server: runs in PostgreSQL, artifacts in S3, which it serves, so that clients need no key."""
    options = ["--host", "127.0.0.1", "--port", port, "--workers", "2"]
    command = [sys.executable, "-m", "mlflow", "server", *options, "--artifacts-destination", f"s3://{BUCKET}/mlflow"]
    store = f"postgresql://faces:{password}@127.0.0.1:{database}/{DATABASE}"
    environment = {**os.environ, **access, "MLFLOW_BACKEND_STORE_URI": store}  # other users could read an argument
    environment.pop("MLFLOW_TRACKING_URI", None)
    return running("MLflow", command, port, folder, env=environment)


@contextlib.contextmanager
def running(
    what: str, command: list, port: str, folder: Path, stop: int = signal.SIGTERM, env: dict[str, str] | None = None
) -> Iterator[None]:
    """A service, from when it accepts connections at its port; its output is in folder/NAME.log."""
    if error := ports.bind_error("127.0.0.1", int(port)):
        sys.exit(f"{what}: port {port} is taken ({error}); --port sets others")
    log = folder / f"{what.lower().replace(' ', '-')}.log"
    with log.open("w") as out:
        started = subprocess.Popen(
            [str(word) for word in command], stdout=out, stderr=out, env=env, start_new_session=True
        )
    try:
        end = time.monotonic() + PATIENCE
        while not ports.accepts(int(port)):
            if started.poll() is not None or time.monotonic() > end:
                sys.exit(f"{what} did not start; the end of {log}:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, stop)
        started.wait()


if __name__ == "__main__":
    command_line.run(main)
