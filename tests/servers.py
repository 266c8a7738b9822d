"""Local servers: of a model, and of archives with the hosts of the real ones, TLS and good and bad responses."""

import contextlib
import datetime
import http.server
import ipaddress
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conftest import ROOT

HOSTS = ("drive.google.com", "drive.usercontent.google.com", "huggingface.co", "www.kaggle.com",
         "storage.googleapis.com", "data.vision.ee.ethz.ch")  # fmt: skip


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate for HOSTS and its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(host) for host in HOSTS] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


class Web:
    """The server. responses: {host/path: function of the handler}; requests: [(host/path, Range header)]."""

    def __init__(self, folder: Path) -> None:
        self.responses: dict = {}
        self.requests: list[tuple[str, str]] = []
        self.certificate = certificate(folder)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.certificate)
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            host = ""

            def do_CONNECT(self):
                self.send_response(200)
                self.end_headers()
                self.host = self.path.split(":")[0]
                self.connection = web.tls.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                self.close_connection = False

            def do_GET(self):
                url = f"{self.host or self.headers['Host']}{self.path}"
                web.requests.append((url, self.headers.get("Range", "")))
                web.responses.get(url, status(404))(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def send(handler, content: bytes, code: int = 200, announced: int | None = None, **headers: str) -> None:
    """Respond with some content; announced: the length in the header."""
    handler.send_response(code)
    handler.send_header("Content-Length", str(len(content) if announced is None else announced))
    for name, value in {"Content_Type": "application/octet-stream", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def whole(content: bytes, ranges: bool = True, **headers: str):
    """Respond with the content; with support for Range or without."""

    def respond(handler) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if not match or not ranges:
            return send(handler, content, **headers)
        start = int(match[1])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return send(handler, content[start:], 206, Content_Range=span, **headers)

    return respond


def drive(content: bytes, name: str):
    """Respond with a file as Google Drive's download host does."""
    return whole(content, Content_Disposition=f'attachment; filename="{name}"')


def page(title: str, body: str = ""):
    """Respond with a web page and status 200 where a file was requested."""
    text = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{body}</body></html>".encode()
    return lambda handler: send(handler, text, Content_Type="text/html; charset=utf-8")


def status(code: int, **headers: str):
    """Respond without content."""
    return lambda handler: send(handler, b"", code, **headers)


def in_turn(*responses):
    """Give one response after the other; the last stays."""
    left = list(responses)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def breaks_off(content: bytes, after: int):
    """Send a part of the content, then close the connection, though more was announced; with support for Range."""

    def respond(handler) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        span = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if match else {}
        send(handler, content[start : start + after], 206 if match else 200, len(content) - start, **span)
        handler.close_connection = True

    return respond


def falls_silent(content: bytes, after: int, seconds: float):
    """Send a part of the content, then nothing for a while, on an open connection."""

    def respond(handler) -> None:
        send(handler, content[:after], announced=len(content))
        time.sleep(seconds)
        handler.close_connection = True

    return respond


def served_model(folder: Path, *words: str) -> contextlib.AbstractContextManager[int]:
    """Run `commands.serve` in a project's folder, as `served` does."""
    return served([sys.executable, "-m", "commands.serve", *words], folder)


@contextlib.contextmanager
def served(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> Iterator[int]:
    """Run a command, which is given a --port, in a folder, and yield the port once it accepts connections.

    Raises AssertionError if it ends before, TimeoutError after three minutes.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*command, "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(720):
                assert server.poll() is None, f"{command} ended with exit status {server.poll()}"
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.25)
            else:
                raise TimeoutError(f"{command} accepts no connection")
            yield port
        finally:
            server.terminate()


def ask_as_documented(folder: Path, port: int) -> list[dict]:
    """Rows that a served model answers to the command of docs/use.md, which sends photo.jpg of a folder."""
    command = re.search(r"^\(printf .*(?:\n.*)?/invocations$", (ROOT / "docs/use.md").read_text(), re.MULTILINE)[0]
    shell = ["bash", "-c", command.replace("5001", str(port))]
    return json.loads(subprocess.run(shell, cwd=folder, stdout=subprocess.PIPE, check=True).stdout)["predictions"]
