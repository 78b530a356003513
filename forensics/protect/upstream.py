"""The way to the upstream: bounded connections, no retries, errors as two kinds."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    import aiohttp

Headers = list[tuple[str, str]]

_HOP_BY_HOP = frozenset(
    [
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    ]
)

_IDLE = 4.0
"""Seconds an idle connection is kept: less than the five after which common servers close theirs, which would otherwise
now and then meet a request half way."""

_FIELD = 1 << 16

_BUFFER = 1 << 19
"""Bytes that are read ahead before the upstream is made to wait."""


class UpstreamError(Exception):
    """The upstream gave no answer that can be passed on.

    Attributes:
        status: 502 or 504.
    """

    def __init__(self, sentence: str, status: int = 502) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """A whole answer.

    Attributes:
        headers: end-to-end headers as they came.
        body: as it came, compressed where the headers say so.
    """

    status: int
    reason: str
    headers: Headers
    body: bytes

    @property
    def good(self) -> bool:
        """Whether the status says that the request was fulfilled."""
        return 200 <= self.status < 300


def import_aiohttp() -> Any:
    """Returns the module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import aiohttp
    except ImportError as error:
        raise MissingExtraError(
            "The proxy needs aiohttp.", "Install it with `pip install 'model-forensics[serve]'`."
        ) from error
    return aiohttp


def check_url(url: str) -> str:
    """Returns the base URL of an upstream without a slash at its end.

    Raises:
        UsageError: it is no http or https URL, or carries a query, a fragment or a password.
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise UsageError(f"'{url}' is no base URL of a service.", "Give for instance --upstream http://127.0.0.1:8080.")
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "The upstream's URL carries a user name or a password.",
            "Leave them out; the credentials of the client are passed on.",
        )
    return url.rstrip("/")


def end_to_end(headers: Iterable[tuple[str, str]], also: Iterable[str] = ()) -> Headers:
    """Returns headers without those that concern one connection only, and without those named in `also`."""
    found = list(headers)
    dropped = _HOP_BY_HOP.union(also)
    for name, value in found:
        if name.lower() == "connection":
            dropped = dropped.union(part.strip().lower() for part in value.split(","))
    return [(name, value) for name, value in found if name.lower() not in dropped]


class Upstream:
    """One client session to the upstream; used inside `async with`.

    Args:
        url: base URL, to which the path of a request is appended.
        connections: most connections at a time; further requests wait.
        timeout: seconds for a whole answer to a request for embeddings; for others, without a byte.
        largest: most bytes of an answer that is held in memory.
    """

    def __init__(self, url: str, *, connections: int, timeout: float, largest: int) -> None:
        self.url, self._connections, self._timeout, self._largest = url, connections, timeout, largest
        self._session: aiohttp.ClientSession | None = None
        self._relay: aiohttp.ClientSession | None = None
        self._whole: aiohttp.ClientTimeout | None = None
        self._stream: aiohttp.ClientTimeout | None = None

    async def __aenter__(self) -> "Upstream":
        aiohttp = import_aiohttp()
        self._whole = aiohttp.ClientTimeout(total=self._timeout)
        self._stream = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=self._timeout)
        options = {
            "auto_decompress": False,
            "skip_auto_headers": ("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            "read_bufsize": _BUFFER,
            "max_line_size": _FIELD,
            "max_field_size": _FIELD,
        }
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_IDLE),
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_single_use(aiohttp.ClientResponse),
            **options,
        )
        # A server that refuses a request may leave its body unread on the connection, where it would be taken for the
        # next request: what is only relayed gets a connection of its own each time.
        self._relay = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            **options,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (self._session, self._relay):
            if session is not None:
                await session.close()

    async def fetch(self, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        """Sends a request and returns the whole answer.

        Raises:
            UpstreamError: there was none in time, or it is too large.
        """
        import aiohttp

        try:
            async with self._request(self._session, method, path, headers, body, self._whole) as response:
                return Reply(
                    response.status,
                    response.reason or "",
                    end_to_end(response.headers.items()),
                    await self._read(response),
                )
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error) from error

    @asynccontextmanager
    async def open(
        self, method: str, path: str, headers: Headers, body: AsyncIterable[bytes] | None
    ) -> AsyncIterator["aiohttp.ClientResponse"]:
        """Sends a request and yields the answer, to be read inside the block.

        Raises:
            UpstreamError: it could not be reached, took too long or broke off.
        """
        import aiohttp

        try:
            async with self._request(self._relay, method, path, headers, body, self._stream) as response:
                yield response
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error) from error

    def _request(
        self,
        session: "aiohttp.ClientSession | None",
        method: str,
        path: str,
        headers: Headers,
        body: "bytes | AsyncIterable[bytes] | None",
        limits: Any,
    ) -> "AbstractAsyncContextManager[aiohttp.ClientResponse]":
        from multidict import CIMultiDict
        from yarl import URL

        if session is None:
            raise RuntimeError("the upstream is used outside of its block")
        url = URL(self.url + path, encoded=True)
        return session.request(
            method, url, headers=CIMultiDict(headers), data=body, allow_redirects=False, timeout=limits
        )

    async def _read(self, response: "aiohttp.ClientResponse") -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > self._largest:
                raise UpstreamError("The answer of the upstream is too large.")
            parts.append(part)
        return b"".join(parts)

    async def reachable(self) -> bool:
        """Says whether anything answers at the upstream's address, within two seconds."""
        try:
            async with asyncio.timeout(2.0), self.open("GET", "/health", [], None):
                return True
        except (UpstreamError, TimeoutError):
            return False


def _single_use(response: Any) -> Any:
    """Returns a kind of response whose connection is closed, not used again, after anything but a success."""

    class Response(response):  # type: ignore[misc]
        async def start(self, connection: Any) -> Any:
            protocol = connection.protocol
            read = protocol.read

            async def judged() -> Any:
                message, payload = await read()
                if message.code >= 300:
                    protocol.force_close()  # before the body, at whose end the connection would go back to the others
                return message, payload

            protocol.read = judged
            try:
                return await super().start(connection)
            finally:
                del protocol.read

    return Response


def _failure(error: Exception) -> UpstreamError:
    if isinstance(error, TimeoutError):
        return UpstreamError("The upstream did not answer in time.", 504)
    return UpstreamError("The upstream could not be reached or broke off.")
