"""TCP ports of this machine."""

import socket


def bind_error(address: str, port: int) -> str:
    """Why a server cannot listen at a port; '' where it can."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except (OSError, OverflowError) as error:
            return str(error)
    return ""


def accepts(port: int) -> bool:
    """Whether a server accepts connections at a port of 127.0.0.1."""
    with socket.socket() as trial:
        trial.settimeout(1)
        return trial.connect_ex(("127.0.0.1", port)) == 0
