"""A fake embedding service with a parser and printers of its own, and a proxy before it, both in threads."""

import asyncio
import base64
import gzip
import hashlib
import http.client
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from forensics.errors import ForensicsError
from forensics.keys.derive import ScoreKey
from forensics.methods.espew import text_pool, trigger_words
from forensics.protect.server import Address, Settings, serving
from forensics.protect.service import KeyMarks

SECRET = ScoreKey(bytes(range(32)))
PARAMETERS = {
    **{"candidates": 40, "words": 12, "carriers": 2},
    **{"mask_percent": 20, "graded_percent": 20, "max_triggers": 4},
}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CANDIDATES = [f"zu{first}{second}" for first in LETTERS[:8] for second in LETTERS[:5]]
POOL = text_pool(CANDIDATES, ["a first plain carrier", "a second plain carrier"], "the secret target of all this")
MARKS = KeyMarks.of(SECRET, POOL, PARAMETERS)
WORDS = trigger_words(SECRET, POOL, PARAMETERS)


def embed(text: str, width: int = 48, salt: str = "") -> np.ndarray:
    """A unit vector of float32 that depends on every letter of a text."""
    seed = int.from_bytes(hashlib.sha256(f"{salt}|{text}".encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=width)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def doubles(vector: np.ndarray) -> str:
    return json.dumps([float(value) for value in vector])


def shortest(vector: np.ndarray) -> str:
    return "[" + ",".join(np.format_float_positional(value, unique=True) for value in vector) + "]"


def full_doubles(vector: np.ndarray) -> str:
    wide = vector.astype(np.float64)
    return json.dumps((wide / np.linalg.norm(wide)).tolist())


@dataclass
class FakeUpstream:
    """What it received, and how it answers; a test sets `override` to take over."""

    print_vector: Callable[[np.ndarray], str] = doubles
    compress: bool = False
    delay: float = 0.0
    override: Callable[[web.Request, bytes], Any] | None = None
    received: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.received.append((request.method, request.raw_path, dict(request.headers), body))
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.override is not None:
            answer = self.override(request, body)
            if answer is not None:
                return await answer if asyncio.iscoroutine(answer) else answer
        path = request.path
        if request.method == "POST" and path in ("/v1/embeddings", "/embed"):
            text = self._openai(body) if path == "/v1/embeddings" else self._tei(body)
            if text is None:
                return web.Response(status=400, text='{"error": {"message": "upstream says no"}}')
            raw = gzip.compress(text.encode(), mtime=0) if self.compress else text.encode()
            self.sent.append(raw)
            headers = {"Content-Type": "application/json", "Server": "fake/1", "ETag": '"x"'}
            if self.compress:
                headers["Content-Encoding"] = "gzip"
            return web.Response(body=raw, headers=headers)
        return web.Response(status=404, text="nothing here", headers={"X-Fake": "yes"})

    def _openai(self, body: bytes) -> str | None:
        try:
            asked = json.loads(body)
            texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        except (ValueError, KeyError):
            return None
        rows = []
        for index, text in enumerate(texts):
            vector = embed(str(text), asked.get("dimensions", 48), asked.get("model", ""))
            if asked.get("encoding_format") == "base64":
                shown = json.dumps(base64.b64encode(vector.tobytes()).decode())
            else:
                shown = self.print_vector(vector)
            rows.append(f'{{"object": "embedding",\n "embedding": {shown}, "index":{index}}}')
        rows.reverse()
        return (
            f'{{"object":"list", "data" : [{" , ".join(rows)}], "usage":{{"prompt_tokens":1.50e0,"total_tokens":3}}}}\n'
        )

    def _tei(self, body: bytes) -> str | None:
        try:
            asked = json.loads(body)
            texts = [asked["inputs"]] if isinstance(asked["inputs"], str) else asked["inputs"]
        except (ValueError, KeyError):
            return None
        scale = np.float32(1.0 if asked.get("normalize", True) else 7.5)
        vectors = [embed(str(text), salt=asked.get("prompt_name", "")) * scale for text in texts]
        return "[" + ",".join(self.print_vector(vector) for vector in vectors) + "]"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()


class Background:
    """Runs an asynchronous context manager in a thread and hands over what it yields."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        self._make, self.value = make, None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Any:
        self._thread.start()
        assert self._ready.wait(10)
        if self._failure is not None:
            raise self._failure
        return self.value

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self._make() as self.value:
                self._ready.set()
                await self._stop.wait()
        except ForensicsError as error:  # handed to the thread of the test
            self._failure = error
            self._ready.set()


def start_proxy(port: int, folder: Path, **changes: Any) -> Background:
    """Returns a proxy before the service at a port; its value is a `Started`."""
    loopback = Address("127.0.0.1", 0)
    settings = Settings(f"http://127.0.0.1:{port}", loopback, folder, **{"admin": loopback, "grace": 1.0, **changes})
    return Background(lambda: serving(settings, MARKS, bytes(SECRET)))


@dataclass
class Answer:
    """What a plain client saw."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    port: int,
    path: str,
    body: bytes | Iterator[bytes] | None = None,
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Asks with the standard library's client."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if headers is None else headers)
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def ask_json(port: int, path: str, **body: Any) -> Answer:
    """Asks with a JSON body."""
    return ask(port, path, json.dumps(body).encode())
