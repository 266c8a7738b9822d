"""A local server that answers under the names of the real ones, TLS included, at their best and at their worst."""

import datetime
import http.server
import ipaddress
import re
import ssl
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOSTS = ("drive.google.com", "drive.usercontent.google.com", "huggingface.co", "www.kaggle.com",
         "storage.googleapis.com", "data.vision.ee.ethz.ch")  # fmt: skip


def certificate(folder: Path) -> Path:
    """Write a certificate for HOSTS, signed by itself, and its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(host) for host in HOSTS] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
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
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


class Web:
    """What the servers answer: `answers` maps `host/path` to a function of the handler; `asked` lists the requests."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict = {}
        self.asked: list[tuple[str, str]] = []
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
                where = f"{self.host or self.headers['Host']}{self.path}"
                web.asked.append((where, self.headers.get("Range", "")))
                web.answers.get(where, status(404))(self)

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
    """Answer with some content; `announced` is the length that the headers claim."""
    handler.send_response(code)
    handler.send_header("Content-Length", str(len(content) if announced is None else announced))
    for name, value in {"Content_Type": "application/octet-stream", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def whole(content: bytes, ranges: bool = True, **headers: str):
    """A good answer, which knows Range or does not."""

    def answer(handler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if not asked or not ranges:
            return send(handler, content, **headers)
        start = int(asked[1])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return send(handler, content[start:], 206, Content_Range=span, **headers)

    return answer


def drive(content: bytes, name: str):
    """A file on Google Drive, as its download host gives it."""
    return whole(content, Content_Disposition=f'attachment; filename="{name}"')


def page(title: str, body: str = ""):
    """A web page with status 200 where a file was asked for."""
    text = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{body}</body></html>".encode()
    return lambda handler: send(handler, text, Content_Type="text/html; charset=utf-8")


def status(code: int, **headers: str):
    """An answer without content."""
    return lambda handler: send(handler, b"", code, **headers)


def in_turn(*answers):
    """One answer after the other; the last stays."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def breaks_off(content: bytes, after: int):
    """Some of the file, then the end of the line, though more was announced; knows Range."""

    def answer(handler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        span = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if asked else {}
        send(handler, content[start : start + after], 206 if asked else 200, len(content) - start, **span)
        handler.close_connection = True

    return answer


def falls_silent(content: bytes, after: int, seconds: float):
    """Some of the file, then nothing for a while, on an open line."""

    def answer(handler) -> None:
        send(handler, content[:after], announced=len(content))
        time.sleep(seconds)
        handler.close_connection = True

    return answer
