"""`bench throughput`: probes a second of the prober with its journal, against a bare HTTP client on the same server."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
BATCHES = (1, 32)
DELAYS = (0, 50)
"""Milliseconds that the stub waits: none, and what a service in another building takes at best."""


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows; one at a time, whatever `jobs` says."""
    probes, repeats = (400, 1) if quick else (10_000, 5)
    cells = [
        Cell(
            f"{batch}-a-request-{delay}-ms",
            throughput_cell,
            {"probes": probes, "batch": batch, "delay": delay, "repeats": repeats, "quick": quick},
        )
        for delay in DELAYS
        for batch in BATCHES
    ]
    return run_cells("throughput", COMMAND, 0, cells, None if quick else folder, progress=progress)


def throughput_cell(probes: int, batch: int, delay: int, repeats: int, quick: bool) -> list[Row]:
    """Alternates acquisitions with a bare client that sends the same requests and reads the numbers.

    Args:
        batch: probes a request.
        delay: milliseconds that the server waits before each answer.
    """
    plan = Plan(tuple(Probe(_text(index), "text/plain") for index in range(probes)), batch)
    whole: list[float] = []
    bare: list[float] = []
    with _server(delay) as url:
        suspect = open_suspect(f"openai+{url}?encoding=float#stub", Connection(concurrency=CONCURRENCY))
        if not isinstance(suspect, RemoteSuspect):
            raise TypeError("an openai suspect is a remote one")
        for repeat in range(repeats + 1):
            part = plan if repeat else Plan(plan.probes[: max(batch, 200)], batch)
            bare.append(asyncio.run(_ask_barely(url, suspect, part)))
            whole.append(_acquire(suspect, part))
    ratio = statistics.median(a / b for a, b in zip(bare[1:], whole[1:], strict=True))
    seconds, bare_seconds = statistics.median(whole[1:]), statistics.median(bare[1:])
    return [
        {
            "what": f"{probes} probes, {batch} a request, {delay} ms a request",
            "probes": probes,
            "batch": batch,
            "delay_ms": delay,
            "concurrency": CONCURRENCY,
            "width": WIDTH,
            "seconds": seconds,
            "bare_seconds": bare_seconds,
            "probes_per_second": probes / seconds,
            "bare_probes_per_second": probes / bare_seconds,
            "ratio": ratio,
            "target": "at least 0.80",
            "quick": quick,
        }
    ]


def order(names: list[str]) -> list[str]:
    """Returns the names of cells in the order of the table."""
    wanted = [f"{batch}-a-request-{delay}-ms" for delay in DELAYS for batch in BATCHES]
    return [name for name in wanted if name in set(names)]


def table(rows: list[Row]) -> str:
    """Returns the rows as a Markdown table."""
    lines = [
        "| what | with journal | bare client | share of the bare throughput | target |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        ours, bare = f"{row['probes_per_second']:.0f} probes/s", f"{row['bare_probes_per_second']:.0f} probes/s"
        lines.append(f"| {row['what']} | {ours} | {bare} | {row['ratio']:.2f} | {row['target']} |")
    return "\n".join(lines)


def _text(index: int) -> bytes:
    return f"Probe {index}: the harbour was quiet in the early morning, and nobody came.".encode()


def _acquire(suspect: RemoteSuspect, plan: Plan) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        with Journal.open(
            Path(scratch) / "journal", plan_digest=plan.digest, suspect_digest="0" * 64, resume=False
        ) as journal:
            ask_plan(journal, plan, suspect, (), silent)
            if journal.recorded != len(plan.probes) or None in (row for chunk in journal.answered() for row in chunk):
                raise RuntimeError("the stub did not answer every probe")
        return time.perf_counter() - started


async def _ask_barely(url: str, suspect: RemoteSuspect, plan: Plan) -> float:
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
            answer = await client.post(f"{url}/embeddings", content=body, headers=headers)
            count += len(answer.json()["data"])
        return count

    started = time.perf_counter()
    async with httpx2.AsyncClient(limits=limits, timeout=60.0, trust_env=False) as client:
        found = sum(await asyncio.gather(*(work(client) for _ in range(CONCURRENCY))))
    if found != len(plan.probes):
        raise RuntimeError("the stub did not answer every probe")
    return time.perf_counter() - started


@contextmanager
def _server(delay: int) -> Iterator[str]:
    """A stub in a process of its own that answers any batch of texts with vectors made beforehand."""
    command = [sys.executable, "-c", _STUB, str(delay), str(WIDTH)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None:
            raise RuntimeError("the stub has no output")
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
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
