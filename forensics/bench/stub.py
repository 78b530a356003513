"""An embedding service with a fixed service time, and clients that each wait for their answer: for `bench proxy`.

Both speak just enough HTTP/1.1 to each other and to the proxy, so that they take little of the processor.
"""

import asyncio
import base64
import json
import time
from abc import ABC, abstractmethod
from functools import partial
from multiprocessing.connection import Connection

import numpy as np

WIDTH = 384

_END = b"\r\n\r\n"


def serve_stub(pipe: Connection, seconds: float) -> None:
    """Runs the service until the process ends; sends its port once.

    Args:
        seconds: service time of every request.
    """
    asyncio.run(_serve(pipe, seconds))


def drive_clients(pipe: Connection) -> None:
    """Runs rounds on request, until it is told None.

    A round is (port, clients, seconds, spread, requests); the answer is the latency of every request in seconds.
    """
    while (order := pipe.recv()) is not None:
        pipe.send(asyncio.run(_drive(*order)))


def request_bytes(texts: list[str], encoding: str) -> bytes:
    """Returns a whole request for embeddings."""
    body = json.dumps({"model": "stub", "input": texts, "encoding_format": encoding}).encode()
    head = (
        f"POST /v1/embeddings HTTP/1.1\r\nHost: stub\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    return head.encode() + _END + body


def answer_bytes(texts: int, encoding: str) -> bytes:
    """Returns a whole answer: unit vectors of float32, as JSON doubles or base64."""
    rng = np.random.default_rng(texts)
    vectors = rng.normal(size=(texts, WIDTH))
    rows = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    shown = [base64.b64encode(row.tobytes()).decode() if encoding == "base64" else row.tolist() for row in rows]
    data = [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(shown)]
    body = json.dumps({"object": "list", "data": data, "model": "stub", "usage": {"prompt_tokens": texts}}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + _END + body


class _Messages(asyncio.Protocol, ABC):
    """Splits a stream into messages that have a Content-Length."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._length = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._length < 0:
            head = self._buffer.find(_END)
            if head < 0:
                return
            field = bytes(self._buffer[:head]).lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._length = head + len(_END) + int(field or b"0")
        if len(self._buffer) >= self._length:
            message = bytes(self._buffer[: self._length])
            del self._buffer[: self._length]
            self._length = -1
            self.message_received(message)

    @abstractmethod
    def message_received(self, message: bytes) -> None:
        """Is given each whole message."""


class _Stub(_Messages):
    def __init__(self, seconds: float, answers: dict[tuple[int, str], bytes]) -> None:
        super().__init__()
        self._seconds, self._answers = seconds, answers

    def message_received(self, message: bytes) -> None:
        asked = json.loads(message.partition(_END)[2] or b'{"input":[""]}')
        kind = (len(asked["input"]), asked.get("encoding_format", "float"))
        if kind not in self._answers:
            self._answers[kind] = answer_bytes(*kind)
        asyncio.get_running_loop().call_later(self._seconds, self._send, self._answers[kind])

    def _send(self, answer: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(answer)


class _Client(_Messages):
    """Sends the next request as soon as an answer is complete, until the round is over."""

    def __init__(self, requests: list[bytes], first: int, until: float, latencies: list[float]) -> None:
        super().__init__()
        self._requests, self._next, self._until, self._latencies = requests, first, until, latencies
        self.done = asyncio.get_running_loop().create_future()
        self._sent = 0.0

    def ask(self) -> None:
        """Sends the next request."""
        if self.transport is None:
            raise RuntimeError("not connected")
        self._sent = time.perf_counter()
        self.transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def message_received(self, message: bytes) -> None:
        now = time.perf_counter()
        if not message.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(message[:200].decode("latin-1")))
            return
        self._latencies.append(now - self._sent)
        if now < self._until:
            self.ask()
        else:
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or RuntimeError("the connection was closed"))


async def _serve(pipe: Connection, seconds: float) -> None:
    answers: dict[tuple[int, str], bytes] = {}
    server = await asyncio.get_running_loop().create_server(partial(_Stub, seconds, answers), "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _drive(port: int, clients: int, seconds: float, spread: float, requests: list[bytes]) -> list[float]:
    """Starts the clients one after the other over `spread` seconds, so that they do not ask in step."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    running: list[_Client] = []
    for number in range(clients):
        make = partial(_Client, requests, number * len(requests) // clients, until, latencies)
        _, client = await loop.create_connection(make, "127.0.0.1", port)
        running.append(client)
    for client in running:
        client.ask()
        await asyncio.sleep(spread / clients)
    await asyncio.gather(*(client.done for client in running))
    for client in running:
        if client.transport is not None:
            client.transport.close()
    return latencies
