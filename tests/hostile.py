"""A server on loopback that answers as a test tells it to, down to the bytes; it parses requests by itself."""

import asyncio
import hashlib
import inspect
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

WIDTH = 6


@dataclass(frozen=True)
class Asked:
    """One request as it came in; `number` counts all of them from 0."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def inputs(self) -> list[str]:
        return json.loads(self.body)["inputs"]


@dataclass
class Stub:
    """What came in, and where the server is."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.url.split("//")[1]


def vector(text: str, width: int = WIDTH) -> list[float]:
    raw = hashlib.sha256(text.encode()).digest()
    return [round(byte / 255.0 - 0.5, 4) for byte in raw[:width]]


def vectors(texts: Sequence[str], width: int = WIDTH) -> list[list[float]]:
    return [vector(text, width) for text in texts]


def response(body: Any, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(raw)}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def plain(asked: Asked) -> bytes:
    """An honest embedding service."""
    return response(vectors(asked.inputs))


@contextmanager
def serving(behave: Callable[..., Any] = plain, tls: ssl.SSLContext | None = None) -> Iterator[Stub]:
    """Serves until the block ends.

    Args:
        behave: takes what was asked and returns the bytes of the answer; a coroutine also takes the writer.
    """
    stub, loop, started, stop = Stub(), asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await read(reader, stub)) is not None:
                stub.asked.append(asked)
                if inspect.iscoroutinefunction(behave):
                    answer = await behave(asked, writer)
                else:
                    answer = behave(asked)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=1 << 26)
        port = server.sockets[0].getsockname()[1]
        stub.url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
        started.set()
        await stop.wait()
        server.close()
        current = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield stub
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


async def read(reader: asyncio.StreamReader, stub: Stub) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(len(stub.asked), method, path, headers, body)
