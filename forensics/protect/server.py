"""The life of the proxy's process: listeners, signals, and an end that lets requests under way finish."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.errors import UsageError
from forensics.protect.admin import build_admin
from forensics.protect.embeddings import Embeddings, Limits
from forensics.protect.marking import Marks
from forensics.protect.metrics import Metrics
from forensics.protect.proxy import Proxy, keep_headers
from forensics.protect.targets import Targets
from forensics.protect.upstream import Upstream, import_aiohttp

if TYPE_CHECKING:
    from aiohttp import web

_FIELD = 1 << 15


@dataclass(frozen=True)
class Address:
    """A host and a port; port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, loopback: bool = False) -> "Address":
        """Reads `HOST:PORT` or `[HOST]:PORT`.

        Args:
            loopback: refuse hosts that other machines can reach.

        Raises:
            UsageError: it is none.
        """
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not port.isdigit() or int(port) > 65535:
            raise UsageError(f"'{text}' is no address to listen at.", "Give HOST:PORT, such as 127.0.0.1:8090.")
        if loopback and host not in ("127.0.0.1", "::1", "localhost"):
            raise UsageError(
                "The administrator's listener would be open to others, and tells how many texts are marked.",
                "Give a loopback address, such as 127.0.0.1:9090.",
            )
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """How the proxy runs.

    Attributes:
        upstream: base URL, from `upstream.check_url`.
        targets: folder of the target vectors.
        admin: address of metrics and health; None for none.
        grace: seconds in which requests under way may finish after a signal.
    """

    upstream: str
    listen: Address
    targets: Path
    admin: Address | None = None
    limits: Limits = field(default_factory=Limits)
    grace: float = 30.0
    access_log: bool = False


@dataclass(frozen=True)
class Started:
    """Where the proxy listens, once it does."""

    listen: Address
    admin: Address | None


def run(settings: Settings, marks: Marks, secret: bytes, announce: Callable[[Started], None]) -> None:
    """Serves until SIGTERM or SIGINT, then lets requests under way finish; a second signal ends at once.

    Args:
        marks: the mark of the key.
        secret: the scoring secret; encrypts the target vectors on disk.
        announce: called once, when requests are accepted.

    Raises:
        KeyboardInterrupt: a second signal came.
        MissingExtraError: aiohttp is not installed.
        UsageError: an address cannot be listened at.
    """
    import_aiohttp()
    gc.freeze()  # what was loaded at the start need not be looked at again by the garbage collector
    try:
        asyncio.run(_serve(settings, marks, secret, announce))
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error


async def _serve(settings: Settings, marks: Marks, secret: bytes, announce: Callable[[Started], None]) -> None:
    stop = asyncio.Event()
    with _signals(stop):
        async with serving(settings, marks, secret, stopping=stop.is_set) as started:
            announce(started)
            await stop.wait()


@contextlib.asynccontextmanager
async def serving(
    settings: Settings, marks: Marks, secret: bytes, *, stopping: Callable[[], bool] = lambda: False
) -> AsyncIterator[Started]:
    """Serves while the block runs; at its end requests under way may finish.

    Raises:
        UsageError: an address cannot be listened at.
    """
    from aiohttp import web

    metrics, limits = Metrics(), settings.limits
    targets = Targets(settings.targets, secret, marks)
    upstream = Upstream(
        settings.upstream, connections=limits.connections, timeout=limits.timeout, largest=limits.largest_answer
    )
    async with upstream:
        embeddings = Embeddings(upstream, marks, targets, limits, metrics)
        proxy = Proxy(upstream, embeddings, limits, metrics, settings.access_log)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        app.on_response_prepare.append(keep_headers)
        public = _runner(app, settings.grace)
        private = _runner(build_admin(upstream, targets, metrics, stopping), 1.0)
        try:
            listen = await _listen(public, settings.listen)
            yield Started(listen, await _listen(private, settings.admin) if settings.admin is not None else None)
        finally:
            # Stops accepting, closes idle connections, and waits for the others up to the grace.
            await public.cleanup()
            await private.cleanup()


def _runner(app: "web.Application", grace: float) -> "web.AppRunner":
    from aiohttp import web

    return web.AppRunner(
        app,
        # The library would print the bytes of requests that it cannot parse, credentials included.
        logger=logging.Logger("forensics.protect.wire", logging.CRITICAL + 1),
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        shutdown_timeout=grace,
        max_line_size=_FIELD,
        max_field_size=_FIELD,
    )


async def _listen(runner: "web.AppRunner", address: Address) -> Address:
    from aiohttp import web

    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port, backlog=1024).start()
    except (OSError, socket.gaierror) as error:
        raise UsageError(f"{address} cannot be listened at: {error.strerror}.", "Choose another address.") from error
    return Address(address.host, int(runner.addresses[0][1]))


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Sets the event at the first signal; cancels everything at the second."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def arrived() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, arrived)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
