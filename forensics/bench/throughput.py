"""`bench throughput`: probes a second of the prober with its journal, against a bare HTTP client on the same server."""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forensics.acquisition import ask_plan
from forensics.bench.results import Cell, Row, run_cells
from forensics.evidence.journal import Journal
from forensics.progress import Progress, silent
from forensics.records import Plan, Probe
from forensics.suspects import Connection, open_suspect
from forensics.suspects.remote.suspect import RemoteSuspect

COMMAND = "forensics bench throughput"
WIDTH = 384
CONCURRENCY = 16
STUB = tuple((delay, batch) for delay in (0, 20) for batch in (1, 32))
"""Milliseconds that the stub waits before it answers, and probes a request."""

PARTS = 5
"""So many acquisitions share the probes; each is made right after the bare client was given the same ones."""


@dataclass(frozen=True)
class Place:
    """A server under test.

    Attributes:
        uri: of the suspect.
        url: that the bare client posts to.
        read: an answer's numbers, as the bare client reads them.
        labels: of a classifier.
    """

    uri: str
    url: str
    read: Callable[[bytes], list[Any]]
    labels: tuple[str, ...] = ()


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows; one at a time, whatever `jobs` says; the stub alone when quick."""
    size = {"probes": 400 if quick else 10_000, "parts": 1 if quick else PARTS, "quick": quick}
    cells = [
        Cell(f"stub-{delay}-ms-{batch}-a-request", throughput_cell, {"delay": delay, "batch": batch, **size})
        for delay, batch in STUB
    ]
    if not quick:
        cells.append(Cell("mlserver-1-a-request", throughput_cell, {**size, "delay": None, "batch": 1}))
    return run_cells("throughput", COMMAND, 0, cells, None if quick else folder, progress=progress)


def throughput_cell(probes: int, batch: int, delay: int | None, parts: int, quick: bool) -> list[Row]:
    """Alternates acquisitions with a bare client that sends the same requests and reads the numbers.

    Args:
        probes: in all.
        batch: probes a request.
        parts: acquisitions that they are shared among.
        delay: milliseconds that the stub waits before each answer; None for MLServer.
    """
    if delay is None:
        from forensics.bench.mlserver import digits, noise

        plan = Plan(tuple(noise(probes)), batch)
        what, width, server = "MLServer", 10, _digits(digits())
    else:
        plan = Plan(tuple(Probe(_text(index), "text/plain") for index in range(probes)), batch)
        what, width, server = f"stub, {delay} ms", WIDTH, _server(delay)
    size = -(-probes // parts)
    bare: list[tuple[float, float]] = []
    whole: list[tuple[float, float]] = []
    with server as place:
        suspect = open_suspect(place.uri, Connection(concurrency=CONCURRENCY))
        if not isinstance(suspect, RemoteSuspect):
            raise TypeError("a suspect with a URI is a remote one")
        for first in (None, *range(0, probes, size)):
            # What comes first warms everything up, and is not counted.
            shown = plan.probes[: max(batch, 100)] if first is None else plan.probes[first : first + size]
            part = Plan(shown, batch)
            times = asyncio.run(_ask_barely(place, suspect, part)), _acquire(suspect, part, place.labels)
            if first is not None:
                bare.append(times[0])
                whole.append(times[1])
    ratios = [a[0] / b[0] for a, b in zip(bare, whole, strict=True)]
    (bare_seconds, bare_cpu), (seconds, cpu) = np.sum(bare, axis=0).tolist(), np.sum(whole, axis=0).tolist()
    return [
        {
            "server": what,
            "probes": probes,
            "batch": batch,
            "concurrency": CONCURRENCY,
            "parts": parts,
            "width": width,
            "seconds": seconds,
            "bare_seconds": bare_seconds,
            "probes_per_second": probes / seconds,
            "bare_probes_per_second": probes / bare_seconds,
            "ratio": statistics.median(ratios),
            "smallest": min(ratios),
            "largest": max(ratios),
            "cpu_seconds": cpu,
            "bare_cpu_seconds": bare_cpu,
            "cpu_ratio": bare_cpu / cpu,
            "target": "at least 0.80",
            "quick": quick,
        }
    ]


def order(names: list[str]) -> list[str]:
    """Returns the names of cells in the order of the table."""
    wanted = [*(f"stub-{delay}-ms-{batch}-a-request" for delay, batch in STUB), "mlserver-1-a-request"]
    return [name for name in wanted if name in set(names)]


def table(rows: list[Row]) -> str:
    """Returns the rows as a Markdown table."""
    lines = [
        "| server | probes | a request | numbers a probe | with journal | bare client | share (range) | by CPU time |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours, bare = f"{row['probes_per_second']:.0f} probes/s", f"{row['bare_probes_per_second']:.0f} probes/s"
        share = f"{row['ratio']:.2f} ({row['smallest']:.2f} to {row['largest']:.2f})"
        lines.append(
            f"| {row['server']} | {row['probes']} | {row['batch']} | {row['width']} | {ours} | {bare} | {share} "
            f"| {row['cpu_ratio']:.2f} |"
        )
    return "\n".join(lines)


def _text(index: int) -> bytes:
    return f"Probe {index}: the harbour was quiet in the early morning, and nobody came.".encode()


def _acquire(suspect: RemoteSuspect, plan: Plan, labels: tuple[str, ...]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as scratch:
        started = _clocks()
        with Journal.open(
            Path(scratch) / "journal", plan_digest=plan.digest, suspect_digest="0" * 64, resume=False
        ) as journal:
            ask_plan(journal, plan, suspect, labels, silent)
            elapsed = _since(started)
            if journal.recorded != len(plan.probes) or None in (row for chunk in journal.answered() for row in chunk):
                raise RuntimeError("the server did not answer every probe")
        return elapsed


async def _ask_barely(place: Place, suspect: RemoteSuspect, plan: Plan) -> tuple[float, float]:
    """Sends the same bodies with as many workers and parses the answers; keeps nothing."""
    import httpx2

    size = suspect.batch_size(plan)
    bodies: list[bytes] = []
    for first in range(0, len(plan.probes), size):
        conversation = suspect.adapter.converse(plan.probes[first : first + size])
        bodies.append(next(conversation).body)
        conversation.close()
    waiting = iter(bodies)
    limits = httpx2.Limits(max_connections=CONCURRENCY)
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}

    async def work(client: httpx2.AsyncClient) -> int:
        count = 0
        for body in waiting:
            answer = await client.post(place.url, content=body, headers=headers)
            count += len([np.asarray(row, dtype=np.float64) for row in place.read(answer.content)])
        return count

    started = _clocks()
    async with httpx2.AsyncClient(limits=limits, timeout=60.0, trust_env=False) as client:
        found = sum(await asyncio.gather(*(work(client) for _ in range(CONCURRENCY))))
        elapsed = _since(started)
    if found != len(plan.probes):
        raise RuntimeError("the server did not answer every probe")
    return elapsed


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(started: tuple[float, float]) -> tuple[float, float]:
    """Returns the seconds since then: of the wall, and of this process's processor time."""
    wall, processor = _clocks()
    return wall - started[0], processor - started[1]


def _embeddings(raw: bytes) -> list[Any]:
    return [entry["embedding"] for entry in json.loads(raw)["data"]]


def _outputs(raw: bytes) -> list[Any]:
    return [json.loads(raw)["outputs"][0]["data"]]


@contextmanager
def _digits(server: AbstractContextManager[str]) -> Iterator[Place]:
    options = "input=predict&content=image&shape=64&divide=15.9375&output=predict_proba&kind=probabilities"
    with server as url:
        yield Place(
            f"oip+{url}?{options}#digits", f"{url}/v2/models/digits/infer", _outputs, tuple(map(str, range(10)))
        )


@contextmanager
def _server(delay: int) -> Iterator[Place]:
    """A stub in a process of its own that answers any batch of texts with vectors made beforehand."""
    command = [sys.executable, "-c", _STUB, str(delay), str(WIDTH)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None:
            raise RuntimeError("the stub has no output")
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        yield Place(f"openai+{url}?encoding=float#stub", f"{url}/embeddings", _embeddings)
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


_STUB = """
import asyncio, json, random, sys
delay, width = int(sys.argv[1]) / 1000, int(sys.argv[2])
draw = random.Random(1)
rows = [json.dumps([round(draw.uniform(-0.1, 0.1), 8) for _ in range(width)]) for _ in range(32)]
made = {}
def answer(count):
    if count not in made:
        data = ",".join('{"object":"embedding","index":%d,"embedding":%s}' % (i, rows[i % 32]) for i in range(count))
        body = ('{"object":"list","data":[%s],"model":"stub"}' % data).encode()
        head = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
        made[count] = head + body
    return made[count]
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            lines = [line.lower() for line in head.split(b"\\r\\n")]
            size = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
            count = len(json.loads(await reader.readexactly(size))["input"])
            if delay:
                await asyncio.sleep(delay)
            writer.write(answer(count))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 24)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
