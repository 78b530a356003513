"""The one HTTP client: plain requests, bounded answers, no redirects, no cookies, no proxies from the environment."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from types import TracebackType
from typing import TYPE_CHECKING, Any

from forensics.errors import UsageError
from forensics.suspects.remote.adapter import BadAnswerError, Request
from forensics.suspects.remote.bodies import collect, collect_start, unpack
from forensics.suspects.remote.connection import Connection
from forensics.suspects.remote.redaction import Redactor

if TYPE_CHECKING:
    import httpcore2

SUCCESS = frozenset({200, 201})
"""Status of answers whose body is an answer to the probes."""

ERROR_BYTES = 1 << 16
"""How much of the body of an answer that is an error is kept."""


_KEPT_SECONDS = 5.0
_MOST_HEADS = 64


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
        whole: SHA-256 and length of the whole body as it came, where less of it is kept and all of it was read.
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
    whole: tuple[str, int] | None = None

    @property
    def fields(self) -> dict[str, str]:
        """The header fields by name; of several of one name the last."""
        return {field[0]: field[1] for field in self.headers}

    def shortened(self) -> "Reply":
        """Returns it as it is kept where it is no answer: the start of its body, and what the whole was."""
        if len(self.body) <= ERROR_BYTES:
            return self
        whole = None if self.redacted or self.cut else (sha256(self.body).hexdigest(), len(self.body))
        return replace(self, body=self.body[:ERROR_BYTES], cut=True, whole=self.whole or whole)


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
        # A plain connection each, without the layers above it: nothing follows redirects, keeps cookies, reads the
        # environment, or looks through a pool for every request.
        self._trust = _trust(url, connection)
        self._turns = asyncio.Semaphore(connection.concurrency)
        self._idle: list[httpcore2.AsyncHTTPConnection | None] = [None] * connection.concurrency
        self._heads: dict[tuple[Any, ...], tuple[httpcore2.URL, list[tuple[bytes, bytes]]]] = {}
        self._peers: dict[int, tuple[Any, tuple[str, str]]] = {}

    async def __aenter__(self) -> "Transport":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._idle:
            if client is not None:
                await client.aclose()

    def target(self, request: Request) -> str:
        """Returns the URL that a request goes to, as it is recorded."""
        return self.redactor.clean_text(self._base + request.path)

    async def send(self, request: Request, most: int | None = None) -> Reply:
        """Makes one attempt, as soon as fewer than `concurrency` others are under way.

        Args:
            most: bytes that the answer may have, where that is less than the connection allows.

        Raises:
            NoAnswerError: no connection, a broken answer, or not within the time.
        """
        async with self._turns:
            return await self._send(request, min(most or self._connection.max_bytes, self._connection.max_bytes))

    async def _send(self, request: Request, most: int) -> Reply:
        started = time.monotonic()
        client = self._idle.pop()  # there are as many as there are turns
        try:
            async with asyncio.timeout(self._connection.timeout):
                target, headers = self._head(request)
                if client is not None and not _is_usable(client):
                    closing, client = client, None
                    await closing.aclose()
                if client is None:
                    client = self._connect(target)
                return await self._exchange(client, request, target, headers, started, most)
        except TimeoutError as error:
            raise NoAnswerError(f"no answer within {self._connection.timeout:g} seconds") from error
        except _failures() as error:
            raise NoAnswerError(self._explain(error)) from None
        finally:
            self._idle.append(client)

    def _connect(self, target: "httpcore2.URL") -> "httpcore2.AsyncHTTPConnection":
        import httpcore2

        return httpcore2.AsyncHTTPConnection(target.origin, self._trust, keepalive_expiry=_KEPT_SECONDS)

    def _head(self, request: Request) -> tuple["httpcore2.URL", list[tuple[bytes, bytes]]]:
        """Returns where a request goes and its header fields; made once for those with other bodies."""
        import httpcore2
        import httpx2

        has_body = request.method != "GET"
        key = (request.method, request.path, request.content_type, *request.headers.items())
        known = self._heads.get(key)
        if known is None:
            headers = {**request.headers, **self._headers}
            if has_body:
                headers["Content-Type"] = request.content_type
            url = httpx2.URL(self._base + request.path)
            raw = httpx2.Request(request.method, url, headers=headers).headers.raw
            target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
            known = target, [field for field in raw if field[0].lower() != b"content-length"]
            if len(self._heads) < _MOST_HEADS:
                self._heads[key] = known
        target, fields = known
        return target, [*fields, (b"Content-Length", b"%d" % len(request.body))] if has_body else fields

    async def _exchange(
        self,
        client: "httpcore2.AsyncHTTPConnection",
        request: Request,
        target: "httpcore2.URL",
        headers: list[tuple[bytes, bytes]],
        started: float,
        most: int,
    ) -> Reply:
        import httpcore2

        content = request.body if request.method != "GET" else None
        sent = httpcore2.Request(request.method, target, headers=headers, content=content)
        response = await client.handle_async_request(sent)
        try:
            body, cut, trouble = await self._read(response, most)
            http = response.extensions.get("http_version", b"").decode("ascii", "replace")
            peer, certificate = self._peer(response.extensions.get("network_stream"))
        finally:
            await response.aclose()
        clean, redacted = self.redactor.clean(body)
        whole: tuple[str, int] | None = None
        if redacted and not clean:
            whole = (sha256(body).hexdigest(), len(body)) if not cut else None
            cut, trouble = True, trouble or "the body repeats the API key in a form that cannot be taken out of it"
        elif response.status not in SUCCESS and not trouble:
            # The end of what was read may be the start of a secret: it is cut off after the search, never before.
            end = len(clean) - self.redactor.reach if cut else len(clean)
            clean, cut = clean[: max(0, min(end, ERROR_BYTES))], cut or end > ERROR_BYTES
        return Reply(
            status=response.status,
            headers=self.redactor.clean_headers(response.headers),
            body=clean,
            redacted=redacted,
            cut=cut,
            http=http,
            peer=peer,
            certificate=certificate,
            elapsed=time.monotonic() - started,
            trouble=trouble,
            whole=whole,
        )

    async def _read(self, response: "httpcore2.Response", most: int) -> tuple[bytes, bool, str]:
        """Returns the body, whether it was cut off, and why it was not kept; of an error more than is kept."""
        stream: AsyncIterator[bytes] = response.aiter_stream()
        encodings = [value.decode("latin-1") for name, value in response.headers if name.lower() == b"content-encoding"]
        encoding = ", ".join(encodings)
        try:
            if response.status not in SUCCESS:
                room = ERROR_BYTES + self.redactor.reach
                body, cut = await collect_start(stream, room)
                if cut and encoding.strip().lower() not in ("", "identity"):
                    return b"", True, "the compressed body of an error is too long to be read"
                return (body if cut else unpack(body, encoding, room)), cut, ""
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


def _is_usable(client: "httpcore2.AsyncHTTPConnection") -> bool:
    """Whether a connection can take a request: open, in between two, and not hung up by the other side."""
    return client.is_available() and not client.has_expired()


@cache
def _failures() -> tuple[type[Exception], ...]:
    """What a connection that comes to nothing raises, beside `TimeoutError`."""
    import httpcore2
    import httpx2

    return (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.UnsupportedProtocol,
        httpcore2.ConnectionNotAvailable,
        httpx2.InvalidURL,
        OSError,
    )


def _trust(url: str, connection: Connection) -> ssl.SSLContext:
    """The certificates to trust: the system's, or those of the examiner's file and no other."""
    if url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts none, and is quick to make
    if connection.authority is None:
        import httpx2

        return httpx2.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=str(connection.authority))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"The certificates in {connection.authority} cannot be read.", "Give a PEM file with --tls-authority."
        ) from error
