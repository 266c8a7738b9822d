"""Open the web app: see the data and the models, try a model on a photo, and see why it says what it says.

Only this machine reaches it, at http://127.0.0.1:8501, unless --phone is given: then the local network does, over
HTTPS, since phones give their camera to such pages alone, and with a token, in the address that is printed and drawn as
a QR code. The certificate is made for this start, so that the phone warns of it once; it is gone at the end.
It stops at Ctrl-C.
"""

import argparse
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

TOKEN = "FACES_TOKEN"  # as app/access.py reads it
PHONE_UPLOAD = 30  # MiB: enough for a phone's photo, and strangers on the network cannot fill the memory as fast
DAYS = 30  # for which a certificate holds


def main() -> None:
    """Run Streamlit until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--phone", action="store_true", help="let phones of the local network in, by a token")
    words = parser.parse_args()
    address = own_address() if words.phone else "127.0.0.1"
    if address is None:
        parser.error("this machine is on no network that a phone could share")
    taken = in_use(address, words.port)
    if taken:
        parser.error(f"port {words.port} is taken ({taken}): name another, as in `make app PORT={words.port + 1}`")
    for ends in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ends, lambda *_: sys.exit("stopped"))  # so that the server stops, too, and the key is removed
    with contextlib.ExitStack() as stack:
        options = []
        if words.phone:
            certificate, key = stack.enter_context(certified(address))
            os.environ[TOKEN] = secrets.token_urlsafe(16)
            options += ["--server.address", address, "--server.sslCertFile", certificate, "--server.sslKeyFile", key]
            options += ["--server.allowedHosts", address, "--browser.serverAddress", address]
            options += ["--server.maxUploadSize", str(PHONE_UPLOAD), "--client.showErrorDetails", "none"]
            show(f"https://{address}:{words.port}/?token={os.environ[TOKEN]}")
        else:
            print(f"Open http://127.0.0.1:{words.port}", flush=True)
        from streamlit.components.v2 import manifest_scanner
        from streamlit.web import cli

        manifest_scanner.scan_component_manifests = list  # of others, in all packages: half a second, and none is used
        cli.main(["run", "app/main.py", "--server.port", str(words.port), *options], "streamlit", standalone_mode=False)


def in_use(address: str, port: int) -> str:
    """Why a port of this machine cannot be listened at; '' where it can."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except (OSError, OverflowError) as error:
            return str(error)
    return ""


def own_address() -> str | None:
    """This machine's address in its network, IPv4; None where it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect(("192.0.2.1", 9))  # of no machine (RFC 5737); it makes the system choose a way
        except OSError:
            return None
        address = trial.getsockname()[0]
    return None if ipaddress.ip_address(address).is_loopback else address


@contextlib.contextmanager
def certified(address: str) -> Iterator[tuple[str, str]]:
    """Files of a certificate for an address, signed by itself, and of its key, while they are needed."""
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
    """Print an address, and its QR code."""
    import qrcode

    code = qrcode.QRCode(border=2)
    code.add_data(address)
    code.print_ascii(tty=sys.stdout.isatty())
    print(
        f"On a phone of this network, open {address}\nIt warns of the certificate, which was made just now.", flush=True
    )


if __name__ == "__main__":
    main()
