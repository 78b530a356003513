"""The one HTTP client: plain requests, bounded answers, no redirects, no cookies, no proxies from the environment."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import TYPE_CHECKING, Any

from forensics.errors import UsageError
from forensics.suspects.remote.adapter import BadAnswerError, Request
from forensics.suspects.remote.bodies import collect, collect_start, unpack
from forensics.suspects.remote.connection import Connection
from forensics.suspects.remote.redaction import Redactor

if TYPE_CHECKING:
    import httpx2

SUCCESS = frozenset({200, 201})
"""Status of answers whose body is an answer to the probes."""

ERROR_BYTES = 1 << 16
"""How much of the body of an answer that is an error is kept."""


class NoAnswerError(Exception):
    """An attempt ended without a complete answer; the sentence says why, and holds no secret."""


@dataclass(frozen=True)
class Reply:
    """A complete answer, without secrets: what is recorded is what is read.

    Attributes:
        headers: fields in order, names in lower case.
        body: unpacked bytes.
        redacted: the body had held the API key.
        cut: only the first `ERROR_BYTES` bytes of an error's body were kept.
        peer: address and port.
        certificate: SHA-256 of the peer's certificate (DER); empty without TLS.
        elapsed: seconds.
        trouble: why the body of a successful answer was not kept; empty where it was.
    """

    status: int
    headers: list[list[str]]
    body: bytes
    redacted: bool
    cut: bool
    http: str
    peer: str
    certificate: str
    elapsed: float
    trouble: str = ""

    @property
    def fields(self) -> dict[str, str]:
        """The header fields by name; of several of one name the last."""
        return {field[0]: field[1] for field in self.headers}


class Transport:
    """Sends an adapter's requests to one base URL; an asynchronous context manager."""

    def __init__(self, url: str, credentials: Mapping[str, str], connection: Connection) -> None:
        """Prepares the client; opens no connection.

        Raises:
            UsageError: the authority's certificates cannot be read, or the API key is none.
        """
        import httpx2

        self.redactor = Redactor(connection.api_key, credentials.values())
        self._base = url
        self._connection = connection
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"python-httpx2/{httpx2.__version__}",
            **credentials,
        }
        limits = httpx2.Limits(max_connections=1)
        trust = _trust(url, connection)
        # Straight at the transport: no layer above it that follows redirects, keeps cookies or reads the environment.
        # One connection each: a pool of many looks at all of them for every request.
        self._idle = [
            httpx2.AsyncHTTPTransport(verify=trust, trust_env=False, limits=limits)
            for _ in range(connection.concurrency)
        ]
        self._all = tuple(self._idle)
        self._targets: dict[str, httpx2.URL] = {}
        self._peers: dict[int, tuple[Any, tuple[str, str]]] = {}

    async def __aenter__(self) -> "Transport":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._all:
            await client.aclose()

    def target(self, request: Request) -> str:
        """Returns the URL that a request goes to, as it is recorded."""
        return self.redactor.clean_text(self._base + request.path)

    async def send(self, request: Request) -> Reply:
        """Makes one attempt.

        Raises:
            NoAnswerError: no connection, a broken answer, or not within the time.
        """
        import httpx2

        started = time.monotonic()
        client = self._idle.pop()  # there are as many as there are requests at a time
        try:
            async with asyncio.timeout(self._connection.timeout):
                return await self._exchange(client, request, started)
        except TimeoutError as error:
            raise NoAnswerError(f"no answer within {self._connection.timeout:g} seconds") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError) as error:
            raise NoAnswerError(self._explain(error)) from None
        finally:
            self._idle.append(client)

    async def _exchange(self, client: "httpx2.AsyncHTTPTransport", request: Request, started: float) -> Reply:
        import httpx2

        headers = {**request.headers, **self._headers}
        if request.method != "GET":
            headers["Content-Type"] = request.content_type
        content = request.body if request.method != "GET" else None
        target = self._targets.get(request.path)
        if target is None:
            target = self._targets[request.path] = httpx2.URL(self._base + request.path)
        sent = httpx2.Request(request.method, target, headers=headers, content=content)
        response = await client.handle_async_request(sent)
        try:
            body, cut, trouble = await self._read(response)
            stream = response.extensions.get("network_stream")
            http = response.extensions.get("http_version", b"").decode("ascii", "replace")
            peer, certificate = self._peer(stream)
        finally:
            await response.aclose()
        clean, redacted = self.redactor.clean(body)
        return Reply(
            status=response.status_code,
            headers=self.redactor.clean_headers(response.headers.raw),
            body=clean,
            redacted=redacted,
            cut=cut,
            http=http,
            peer=peer,
            certificate=certificate,
            elapsed=time.monotonic() - started,
            trouble=trouble,
        )

    async def _read(self, response: "httpx2.Response") -> tuple[bytes, bool, str]:
        """Returns the body, whether it was cut off, and why it was not kept."""
        most = self._connection.max_bytes
        stream: AsyncIterator[bytes] = response.aiter_raw()
        encoding = response.headers.get("content-encoding", "")
        try:
            if response.status_code not in SUCCESS:
                body, cut = await collect_start(stream, min(most, ERROR_BYTES))
                return (body if cut else unpack(body, encoding, ERROR_BYTES)), cut, ""
            return unpack(await collect(stream, most), encoding, most), False, ""
        except BadAnswerError as error:
            return b"", True, str(error)

    def _peer(self, stream: Any) -> tuple[str, str]:
        """Returns the other side's address and its certificate's SHA-256, looked up once for each connection."""
        if stream is None:
            return "", ""
        known = self._peers.get(id(stream))
        if known is not None and known[0] is stream:
            return known[1]
        if len(self._peers) > 4 * self._connection.concurrency:
            self._peers.clear()
        found = self._look_at(stream)
        self._peers[id(stream)] = (stream, found)
        return found

    @staticmethod
    def _look_at(stream: Any) -> tuple[str, str]:
        address = stream.get_extra_info("server_addr")
        secured = stream.get_extra_info("ssl_object")
        peer = f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) >= 2 else ""
        if secured is None:
            return peer, ""
        der = secured.getpeercert(binary_form=True)
        return peer, sha256(der).hexdigest() if der else ""

    def _explain(self, error: Exception) -> str:
        """A sentence of a transport error: its kind, and its words without secrets, bounded."""
        words = " ".join(self.redactor.clean_text(str(error)).split())[:200]
        kind = type(error).__name__
        return f"no complete answer ({kind}: {words})" if words else f"no complete answer ({kind})"


def _trust(url: str, connection: Connection) -> ssl.SSLContext | bool:
    """The certificates to trust: the system's (True), or those of the examiner's file and no other."""
    if url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts none, and is quick to make
    if connection.authority is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(connection.authority))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"The certificates in {connection.authority} cannot be read.", "Give a PEM file with --tls-authority."
        ) from error
