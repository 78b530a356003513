"""What happens to a request: embeddings are marked, everything else is passed on as it is read."""

import asyncio
import logging
import sys
import time
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.protect.embeddings import Embeddings, Limits
from forensics.protect.metrics import Metrics
from forensics.protect.questions import Route, asks_in_query, find_route
from forensics.protect.replies import RefusedError, encoding, error_reply, unread_content_type
from forensics.protect.upstream import Headers, Reply, Upstream, UpstreamError, end_to_end

if TYPE_CHECKING:
    from aiohttp import web

_log = logging.getLogger("forensics.protect")

_ADDED = ("Server", "Content-Type")
"""Headers that the server library would add; an empty value keeps their place until `keep_headers`."""

_OVERRIDES = (
    *("x-http-method-override", "x-http-method", "x-method-override"),
    *("x-original-url", "x-rewrite-url", "x-original-uri"),
)
"""Headers by which a lenient upstream would answer another method or path than this proxy judges by."""

_TOO_LARGE = "The body of the request is too large."


class Proxy:
    """Handles the requests of one listener.

    Args:
        upstream: open.
        access_log: whether a line a request goes to standard error: method, route, status, milliseconds.
    """

    def __init__(
        self, upstream: Upstream, embeddings: Embeddings, limits: Limits, metrics: Metrics, access_log: bool = False
    ) -> None:
        self._upstream, self._embeddings = upstream, embeddings
        self._limits, self._metrics, self._access_log = limits, metrics, access_log
        self._gate = asyncio.Semaphore(limits.connections)

    async def handle(self, request: "web.Request") -> "web.StreamResponse":
        """Answers one request."""
        started = time.perf_counter()
        route = find_route(request.method, request.raw_path)
        self._metrics.count("requests", f'route="{route.kind}"')
        try:
            response = await self._answer(request, route)
        except UpstreamError as error:
            self._metrics.count("upstream_responses", 'class="none"')
            response = _response(error_reply(route.form, error.status, str(error)))
        except RefusedError as error:
            response = _response(error_reply(route.form, error.status, str(error)))
            if error.status in (408, 413):
                response.force_close()
        except Exception as error:  # noqa: BLE001 - a defect must end one request, and its message may hold a text
            where = traceback.extract_tb(error.__traceback__)[-1]
            _log.error("Unexpected %s at %s:%s.", type(error).__name__, Path(where.filename).name, where.lineno)
            response = _response(error_reply(route.form, 500, "The request could not be handled."))
        self._metrics.count("responses", f'status="{response.status}"')
        if self._access_log:
            spent = 1000.0 * (time.perf_counter() - started)
            print(f"{request.method} {route.kind} {response.status} {spent:.0f} ms", file=sys.stderr)  # noqa: T201
        return response

    async def _answer(self, request: "web.Request", route: Route) -> "web.StreamResponse":
        path = request.raw_path
        if not path.startswith("/") or "#" in path:
            raise RefusedError(400, "The path of the request is not one of this service.")
        if (request.content_length or 0) > self._limits.largest_request:
            raise RefusedError(413, _TOO_LARGE)
        if route.kind == "unmarkable" and self._limits.unmarkable == "refuse":
            raise RefusedError(400, "This service does not offer that route.")
        if route.bodiless and request.body_exists:
            raise RefusedError(400, "Requests of this method have no body here.")
        if route.names_vectors and asks_in_query(path):
            raise RefusedError(400, "Inputs are not accepted in the query.")
        if route.kind != "embedding":
            return await self._relay(request)
        async with self._gate:
            body = await self._read(request)
            if encoding(list(request.headers.items())) != "identity":
                raise RefusedError(415, "Compressed bodies of requests are not accepted.")
            if unread_content_type(list(request.headers.items())):
                raise RefusedError(415, "Send JSON in UTF-8 with one content type that says so.")
            own = ("host", "content-length", "expect", "accept-encoding", *_OVERRIDES)
            headers = end_to_end(request.headers.items(), own)
            headers.append(("Accept-Encoding", "identity"))
            reply = await self._embeddings.answer(route.form, request.method, path, headers, body)
        self._metrics.count("response_bytes", by=len(reply.body))
        return _response(reply)

    async def _read(self, request: "web.Request") -> bytes:
        if request.content.is_eof():
            body = request.content.read_nowait()
            if len(body) > self._limits.largest_request:
                raise RefusedError(413, _TOO_LARGE)
            self._metrics.count("request_bytes", by=len(body))
            return body
        try:
            async with asyncio.timeout(self._limits.timeout):
                return b"".join([part async for part in _Intake(request, self._limits, self._metrics)])
        except TimeoutError as error:
            raise RefusedError(408, "The body of the request did not come in time.") from error

    async def _relay(self, request: "web.Request") -> "web.StreamResponse":
        """Passes a request and its answer on while they are read."""
        from aiohttp import web

        headers = end_to_end(request.headers.items(), ("host", "expect", *_OVERRIDES))
        intake = _Intake(request, self._limits, self._metrics)
        body = intake if request.body_exists else None
        response = web.StreamResponse()
        try:
            async with self._upstream.open(request.method, request.raw_path, headers, body) as answer:
                self._metrics.count("upstream_responses", f'class="{answer.status // 100}xx"')
                response.set_status(answer.status, answer.reason)
                _set_headers(response, end_to_end(answer.headers.items()))
                await response.prepare(request)
                async for part in answer.content.iter_any():
                    self._metrics.count("response_bytes", by=len(part))
                    await response.write(part)
                await response.write_eof()
        except UpstreamError:
            if intake.too_large:
                raise RefusedError(413, _TOO_LARGE) from None
            if not response.prepared:
                raise
            # Half an answer must not look like a whole one.
            if request.transport is not None:
                request.transport.abort()
        return response


class _Intake:
    """The body of a request in parts, as long as it is not too large."""

    def __init__(self, request: "web.Request", limits: Limits, metrics: Metrics) -> None:
        self._request, self._limits, self._metrics = request, limits, metrics
        self.too_large = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._request.content.iter_any():
            size += len(part)
            if size > self._limits.largest_request:
                self.too_large = True
                raise RefusedError(413, _TOO_LARGE)
            self._metrics.count("request_bytes", by=len(part))
            yield part


def _response(reply: Reply) -> "web.Response":
    from aiohttp import web

    response = web.Response(status=reply.status, reason=reply.reason, body=reply.body)
    _set_headers(response, [(name, value) for name, value in reply.headers if name.lower() != "content-length"])
    return response


def _set_headers(response: "web.StreamResponse", headers: Headers) -> None:
    response.headers.popall("Content-Type", None)
    response.headers.extend(headers)
    for name in _ADDED:
        response.headers.setdefault(name, "")


async def keep_headers(request: "web.Request", response: "web.StreamResponse") -> None:
    """Signal before a response leaves: takes away what the server library adds on its own."""
    for name in _ADDED:
        if response.headers.get(name) == "":
            del response.headers[name]
