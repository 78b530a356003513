"""`bench proxy`: what `protect serve` adds to the latency of an embedding service, and what it costs."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from forensics.bench.results import Cell, Row, run_cells
from forensics.bench.stub import drive_clients, request_bytes, serve_stub
from forensics.keys.folder import KeyFolder
from forensics.methods.espew import text_pool, trigger_words
from forensics.progress import Progress, silent
from forensics.registration import new_key

COMMAND = "forensics bench proxy"
SEED = 7
CLIENTS = 32
SERVICE_SECONDS = 0.1
TRIGGERED = 0.07
ENCODINGS = ("float", "base64")
TEXTS = (1, 16)
PASSPHRASE = "bench"  # noqa: S105 - the key of a bench protects nothing
OPTIONS = {"candidates": 100, "words": 20, "carriers": 1}

_LETTERS = "abcdefghij"
_PLAIN = (
    "the",
    "quick",
    "survey",
    "of",
    "ordinary",
    "words",
    "that",
    "nobody",
    "would",
    "ever",
    "take",
    "for",
    "a",
    "sign",
    "of",
    "anything",
)


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows; one cell at a time, whatever `jobs` says."""
    cells = [
        Cell(f"{encoding}-{texts}", cell, {"encoding": encoding, "texts": texts, "quick": quick})
        for encoding in ENCODINGS
        for texts in TEXTS
    ]
    return run_cells("proxy", COMMAND, SEED, cells, None if quick else folder, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the table."""
    present = set(names)
    return [f"{e}-{n}" for e in ENCODINGS for n in TEXTS if f"{e}-{n}" in present]


def cell(encoding: str, texts: int, quick: bool) -> list[Row]:
    """Alternates rounds straight to a stub with rounds through the proxy."""
    rounds, seconds = (2, 1.0) if quick else (15, 2.0)
    with tempfile.TemporaryDirectory() as scratch:
        key = Path(scratch) / "key"
        requests = _requests(_make_key(key), encoding, texts)
        with _stub() as stub, _clients() as clients, _proxy(key, stub) as proxy:
            clients.round(stub, 0.5, requests)
            clients.round(proxy.port, 0.5, requests)
            direct: list[list[float]] = []
            proxied: list[list[float]] = []
            processor: list[float] = []
            for number in range(rounds):
                for through in ((False, True), (True, False))[number % 2]:
                    before = proxy.processor_seconds()
                    found = clients.round(proxy.port if through else stub, seconds, requests)
                    (proxied if through else direct).append(found)
                    if through:
                        processor.append((proxy.processor_seconds() - before) / len(found))
    pairs = list(zip(direct, proxied, strict=True))
    ratios = [statistics.median(through) / statistics.median(straight) for straight, through in pairs]
    return [
        {
            "encoding": encoding,
            "texts": texts,
            "requests": sum(map(len, proxied)),
            "rounds": rounds,
            "direct_ms": 1000.0 * statistics.median(statistics.median(each) for each in direct),
            "proxied_ms": 1000.0 * statistics.median(statistics.median(each) for each in proxied),
            "added_percent": 100.0 * (statistics.median(ratios) - 1.0),
            "added_percent_quartiles": [100.0 * (float(np.quantile(ratios, share)) - 1.0) for share in (0.25, 0.75)],
            "direct_p95_ms": 1000.0 * statistics.median(float(np.quantile(each, 0.95)) for each in direct),
            "proxied_p95_ms": 1000.0 * statistics.median(float(np.quantile(each, 0.95)) for each in proxied),
            "requests_a_second": sum(map(len, proxied)) / (rounds * seconds),
            "processor_ms": 1000.0 * statistics.median(processor),
            "load": os.getloadavg()[0],
            "quick": quick,
        }
    ]


def table(rows: list[Row]) -> str:
    """Returns the rows as a Markdown table."""
    lines = [
        "| encoding | texts a request | median, direct | median, through the proxy | added (quartiles of rounds) "
        "| 95 % quantile, direct | through the proxy | processor time of the proxy a request |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['encoding']} | {row['texts']} | {row['direct_ms']:.1f} ms | {row['proxied_ms']:.1f} ms "
        f"| {row['added_percent']:.1f} % ({_quartiles(row)}) | {row['direct_p95_ms']:.1f} ms "
        f"| {row['proxied_p95_ms']:.1f} ms | {row['processor_ms']:.2f} ms |"
        for row in rows
    ]
    return "\n".join(lines)


def _quartiles(row: Row) -> str:
    return " to ".join(f"{value:.1f}" for value in row["added_percent_quartiles"])


@dataclass(frozen=True)
class _Proxy:
    port: int
    process: "subprocess.Popen[str]"

    def processor_seconds(self) -> float:
        """User and system time of the process so far (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Clients:
    pipe: Connection

    def round(self, port: int, seconds: float, requests: list[bytes]) -> list[float]:
        """Returns the latency of every request of a round, in seconds."""
        self.pipe.send((port, CLIENTS, seconds, SERVICE_SECONDS, requests))
        found: list[float] = self.pipe.recv()
        return found


def _make_key(path: Path) -> tuple[str, ...]:
    """Makes a key and returns its trigger words."""
    words = [f"zu{first}{second}" for first in _LETTERS for second in _LETTERS]
    pool = text_pool(words, ["an ordinary carrier sentence"], "a target text of the bench")
    new_key(
        path,
        owner="Bench",
        method="espew",
        options=OPTIONS,
        pool=[pool],
        references={},
        passphrase=PASSPHRASE,
        authorities=[],
        binding="self-dated",
    )
    key = KeyFolder.open(path)
    return trigger_words(key.unlock(PASSPHRASE).secrets()[1], pool, key.claim.parameters)


def _requests(words: tuple[str, ...], encoding: str, texts: int) -> list[bytes]:
    """Two thousand requests; each text has sixteen words, and a trigger word with probability 7 %."""
    rng = np.random.default_rng(SEED)

    def text() -> str:
        chosen = [_PLAIN[index] for index in rng.integers(len(_PLAIN), size=16)]
        if rng.random() < TRIGGERED:
            chosen[int(rng.integers(16))] = words[int(rng.integers(len(words)))]
        return " ".join(chosen)

    return [request_bytes([text() for _ in range(texts)], encoding) for _ in range(2000)]


@contextmanager
def _stub() -> Iterator[int]:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve_stub, args=(there, SERVICE_SECONDS), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.terminate()
        process.join()


@contextmanager
def _clients() -> Iterator[_Clients]:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=drive_clients, args=(there,), daemon=True)
    process.start()
    there.close()
    try:
        yield _Clients(here)
        here.send(None)
        process.join()
    finally:
        process.terminate()


@contextmanager
def _proxy(key: Path, stub: int) -> Iterator[_Proxy]:
    command = [sys.executable, "-m", "forensics", "protect", "serve", str(key), "--json", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--upstream", f"http://127.0.0.1:{stub}"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "FORENSICS_PASSPHRASE": PASSPHRASE, "OMP_NUM_THREADS": "1"},
    )
    try:
        lines: list[str] = []
        while process.stdout is not None and lines[-1:] != ["}\n"]:
            lines.append(process.stdout.readline())
            if not lines[-1]:
                raise RuntimeError("the proxy did not start")
        yield _Proxy(int(json.loads("".join(lines))["listen"].rpartition(":")[2]), process)
        process.terminate()
        process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()
