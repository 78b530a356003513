"""Servers that are not ours, each in an environment of its own (`.ci/servers`), started on loopback."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx2

from forensics.bench.results import cache_folder
from forensics.errors import MissingExtraError, Unreachable

START_SECONDS = 180.0


def environment(name: str) -> Path:
    """Returns the folder of a server's environment.

    Raises:
        MissingExtraError: it has not been made.
    """
    folder = cache_folder() / "servers" / name
    if not (folder / ".ready").is_file():
        raise MissingExtraError(f"The environment {folder} is missing.", f"Run: .ci/servers {name}")
    return folder


def free_port() -> int:
    """Returns a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, folder: Path, ready: str, extra: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Runs a server in `folder` until the block ends and gives its URL once `ready` (a path) answers below 500.

    Args:
        extra: further variables of its environment.

    Raises:
        Unreachable: it does not start.
    """
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}
    log = folder / f"server-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=variables, stdout=output, stderr=output, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _await_answer(process, url + ready, log)
        yield url
    finally:
        stop_group(process)


def infinity(model: Path, name: str, api_key: str, folder: Path) -> contextlib.AbstractContextManager[str]:
    """Runs infinity with a sentence-transformers folder, behind an API key.

    Args:
        name: under which it serves the model.
        folder: for its log.
    """
    program, port = environment("infinity") / "bin" / "infinity_emb", free_port()
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    options = ["--model-id", str(model), "--served-model-name", name, "--engine", "torch", "--device", "cpu"]
    options += ["--dtype", "float32", "--no-bettertransformer", "--no-model-warmup", "--host", "127.0.0.1"]
    options += ["--port", str(port), "--url-prefix", "/v1", "--api-key", api_key]
    return running([str(program), "v2", *options], port, folder, "/health", quiet)


def stop_group(process: "subprocess.Popen[bytes]") -> None:
    """Ends a process with all its children: asks first, then kills."""
    for request in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, request)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
            break
    # The leader may be gone before its children are.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _await_answer(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(url, timeout=2, trust_env=False).status_code < 500:
                return
        time.sleep(0.1)
    words = " ".join(log.read_text(errors="replace")[-1500:].split())
    raise Unreachable(f"The server did not start: {words}", "Make its environment anew with .ci/servers.")
