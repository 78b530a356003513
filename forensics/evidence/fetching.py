"""Getting revocation lists where certificates say that they are published; nothing here runs unless it is asked for.

A certificate names the address, and whoever made the certificate may be hostile. So only http and https are followed,
no redirection, nothing that leads into a private network; size and time are bounded.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509

from forensics.errors import AuthorityError, UsageError
from forensics.evidence.certificates import printable
from forensics.evidence.revocation import LARGEST, RevocationList, distribution_points, parse_lists

if TYPE_CHECKING:
    import httpx2

SECONDS = 30.0
"""Longest time for one list."""

_MOST = 8
_ADVICE = "Get the list yourself and give it with --crl."


def fetch_lists(
    certificates: Sequence[x509.Certificate], *, allowed: Callable[[str, int], bool] | None = None
) -> list[RevocationList]:
    """Gets the revocation list of each certificate that names one, from the first address that it names.

    Args:
        certificates: an address that several name is asked once.
        allowed: whether a host and port may be asked; by default those whose addresses are all public.

    Raises:
        AuthorityError: an address leads into a private network, cannot be reached, redirects, or sends something else
            than a revocation list of at most `LARGEST` bytes within `SECONDS`.
    """
    addresses: dict[str, None] = {}
    for certificate in certificates:
        named = [each for each in distribution_points(certificate) if each.lower().startswith(("http://", "https://"))]
        addresses.update(dict.fromkeys(named[:1]))
    if len(addresses) > _MOST:
        raise AuthorityError(f"The certificates name more than {_MOST} addresses of revocation lists.", _ADVICE)
    return [found for each in addresses for found in _fetch(each, allowed or _is_public)]


def _fetch(url: str, allowed: Callable[[str, int], bool]) -> list[RevocationList]:
    shown = printable(url, 200)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise AuthorityError(f"The address of a revocation list cannot be read: {shown}.", _ADVICE) from error
    if not host or parts.username is not None or not allowed(host, port):
        raise AuthorityError(
            f"A certificate names {shown} for its revocation list, which is no public address.", _ADVICE
        )
    raw = _get(url, shown)
    try:
        return parse_lists(raw, shown)
    except UsageError as error:
        raise AuthorityError(f"{shown} holds no revocation list.", _ADVICE) from error


def _get(url: str, shown: str) -> bytes:
    import httpx2

    deadline = time.monotonic() + SECONDS
    try:
        with (
            httpx2.Client(timeout=SECONDS, follow_redirects=False) as client,
            client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
        ):
            if response.status_code != 200:
                raise AuthorityError(f"{shown} answered with HTTP status {response.status_code}.", _ADVICE)
            return _body(response, shown, deadline)
    except httpx2.TimeoutException as error:
        raise AuthorityError(f"{shown} did not answer within {SECONDS:g} seconds.", _ADVICE) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise AuthorityError(f"{shown} could not be reached ({type(error).__name__}).", _ADVICE) from error


def _body(response: "httpx2.Response", shown: str, deadline: float) -> bytes:
    received = bytearray()
    for chunk in response.iter_raw():
        received += chunk
        if len(received) > LARGEST:
            raise AuthorityError(f"{shown} sent more than {LARGEST} bytes.", _ADVICE)
        if time.monotonic() > deadline:
            raise AuthorityError(f"{shown} did not answer within {SECONDS:g} seconds.", _ADVICE)
    return bytes(received)


def _is_public(host: str, port: int) -> bool:
    """Whether every address of a host is one of the public network; a name that does not resolve is let through."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True
    return all(ipaddress.ip_address(str(each[4][0]).partition("%")[0]).is_global for each in found)
