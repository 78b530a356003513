"""Starting of foreign servers on loopback, each in its own environment, and stopping of their whole process group."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from forensics.bench.results import cache_folder

START_SECONDS = 60.0


def environment(name: str) -> Path:
    """Returns the folder of a server's environment; skips the test where it has not been made."""
    folder = cache_folder() / "servers" / name
    if not (folder / ".ready").is_file():
        pytest.skip(f"the environment {folder} is missing: run `.ci/servers {name}`")
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
    """Runs a server in `folder` until the block ends and gives its URL once `ready` (a path) answers below 500."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}
    log = folder / f"server-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=variables, stdout=output, stderr=output, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        await_answer(process, url + ready, log)
        yield url
    finally:
        stop_group(process)


def await_answer(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Waits until a URL answers; fails with the server's log where it never does."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")


def stop_group(process: subprocess.Popen[bytes]) -> None:
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
