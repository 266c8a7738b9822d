"""Redirects that a download does not follow: to other schemes, and to private addresses that the user did not name."""

import contextlib
import functools
import ipaddress
import socket
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import requests

if TYPE_CHECKING:
    import aiohttp

SCHEMES = ("http", "https")
PLACEHOLDERS = ipaddress.ip_network("198.18.0.0/15")  # what some VPNs resolve every name to


class RedirectError(ValueError):
    """A redirect that is not followed; the message says why."""


def check(named: str | None, target: str) -> None:
    """Raise RedirectError where a redirect is not to be followed.

    named: the host whose address the user gave, which may be a private one; target: absolute address.
    """
    parts = urlsplit(target)
    if parts.scheme not in SCHEMES:
        raise RedirectError(f"redirects to {parts.scheme}://, which is not followed: it must be http or https")
    private = None if parts.hostname in (None, named) else private_address(str(parts.hostname))
    if private:
        raise RedirectError(
            f"redirects to {parts.hostname}, another host with the private address {private}, which is not followed: "
            "name that address in data.source if it is right"
        )


def private_address(host: str) -> str | None:
    """The first address of a host that is not of the public internet; None where all are, or it is unknown here."""
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):  # a proxy may know it
        return None
    return next((address for address in sorted(addresses) if not _is_public(address)), None)


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text)
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_global or address in PLACEHOLDERS


class Session(requests.Session):
    """A session of requests that follows no such redirect."""

    named: str | None = None

    def get(self, url: str | bytes, **options) -> requests.Response:  # type: ignore[override]
        """Remember the host of an address, then request it."""
        self.named = urlsplit(str(url)).hostname
        return super().get(url, **options)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a response redirects to; None where it does not. Raises RedirectError."""
        target = super().get_redirect_target(resp)
        if target is not None:
            check(self.named, urljoin(resp.url, target))
        return target


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Let gdown, which takes no session, make one of ours within the context."""
    before = requests.session
    requests.session = Session
    try:
        yield
    finally:
        requests.session = before


@functools.cache
def fsspec_options() -> dict:
    """Options of fsspec's file system of http and https, with which it follows no such redirect."""
    import aiohttp  # here, since it takes 0.3 s and few commands need it

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_remember)
    trace.on_request_redirect.append(_check_aiohttp)
    return {"client_kwargs": {"trace_configs": [trace]}}


async def _remember(_: object, context: types.SimpleNamespace, params: "aiohttp.TraceRequestStartParams") -> None:
    context.named = params.url.host


async def _check_aiohttp(
    _: object, context: types.SimpleNamespace, params: "aiohttp.TraceRequestRedirectParams"
) -> None:
    headers = params.response.headers
    check(context.named, urljoin(str(params.url), headers.get("Location") or headers.get("URI", "")))
