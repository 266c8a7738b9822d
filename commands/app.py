"""Open the web app: browse the data and the models, try a model on a photo, and see what its prediction depends on.

It listens at http://127.0.0.1:8501, for this machine only. With --phone it listens on the local network, over HTTPS,
which phones require for camera access, and with a token, which is part of the address that is printed and shown as a QR
code. The certificate is made at each start and removed at the end, so that the phone warns of it once.
It stops at Ctrl-C.
"""

import contextlib
import datetime
import ipaddress
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from commands import command_line
from faces.runtime import ports

TOKEN = "FACES_TOKEN"  # as app/access.py reads it
PHONE_UPLOAD = 30  # MiB: enough for a phone's photo, and limits how fast others on the network can fill the memory
DAYS = 30  # that a certificate is valid


def main() -> None:
    """Run Streamlit."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--port", type=int, default=8501, help="port to listen at (default: %(default)s)")
    parser.add_argument("--phone", action="store_true", help="let phones on the local network connect, with a token")
    args = parser.parse_args()
    address = own_address() if args.phone else "127.0.0.1"
    if address is None:
        parser.error("this machine is on no network, so no phone can reach it")
    if error := ports.bind_error(address, args.port):
        parser.error(f"port {args.port} is taken ({error}): name another, as in `make app PORT={args.port + 1}`")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("stopped"))  # so that the server stops and the key is removed
    with contextlib.ExitStack() as stack:
        options = ["--server.port", str(args.port)]
        if args.phone:
            certificate, key = stack.enter_context(certified(address))
            os.environ[TOKEN] = secrets.token_urlsafe(16)
            options += [
                *("--server.address", address, "--browser.serverAddress", address, "--server.allowedHosts", address),
                *("--server.sslCertFile", certificate, "--server.sslKeyFile", key),
                *("--server.maxUploadSize", str(PHONE_UPLOAD), "--client.showErrorDetails", "none"),
            ]
            show(f"https://{address}:{args.port}/?token={os.environ[TOKEN]}")
        else:
            print(f"Open http://127.0.0.1:{args.port}", flush=True)
        from streamlit.components.v2 import manifest_scanner
        from streamlit.web import cli

        manifest_scanner.scan_component_manifests = list  # skips a scan of all packages: 0.5 s, and none is used
        cli.main(["run", "app/server.py", *options], "streamlit", standalone_mode=False)


def own_address() -> str | None:
    """This machine's IPv4 address in its network; None where it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect(("192.0.2.1", 9))  # a documentation address (RFC 5737): the system chooses a route
        except OSError:
            return None
        address = trial.getsockname()[0]
    return None if ipaddress.ip_address(address).is_loopback else address


@contextlib.contextmanager
def certified(address: str) -> Iterator[tuple[str, str]]:
    """Files of a self-signed certificate for an address, and of its key, which exist within the context."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Faces")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].touch(mode=0o600)
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        yield str(files[0]), str(files[1])


def show(address: str) -> None:
    """Print an address and its QR code."""
    import qrcode

    code = qrcode.QRCode(border=2)
    code.add_data(address)
    code.print_ascii(tty=sys.stdout.isatty())
    print(f"On a phone in this network, open {address}\nIt warns of the certificate, which is self-signed.", flush=True)


if __name__ == "__main__":
    command_line.run(main)
