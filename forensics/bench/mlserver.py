"""MLServer with a classifier of scikit-learn's digits on loopback, in an environment of its own (`make servers`)."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from forensics.bench.results import cache_folder
from forensics.errors import UsageError
from forensics.images import encode_png
from forensics.records import Probe

_SECONDS = 60.0
_MODEL = """
import joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
images, labels = load_digits(return_X_y=True)
joblib.dump(LogisticRegression(max_iter=300).fit(images[:1200], labels[:1200]), "digits/model.joblib")
"""
_PROGRAM = "import sys; from mlserver.cli.main import main; sys.argv = ['mlserver', 'start', '.']; sys.exit(main())"


def noise(count: int) -> Iterator[Probe]:
    """Yields different images of 8 x 8 grey pixels."""
    for pixels in np.random.default_rng(1).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8):
        yield Probe(encode_png(pixels))


@contextlib.contextmanager
def digits() -> Iterator[str]:
    """Runs the server until the block ends and gives its URL; the model's name is `digits`.

    Raises:
        UsageError: its environment is missing, or it does not start.
    """
    environment = cache_folder() / "servers" / "mlserver"
    if not (environment / ".ready").is_file():
        raise UsageError(f"The environment {environment} is missing.", "Make it with `make servers`.")
    python = str(environment / "bin" / "python")
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory() as scratch:
        folder, port = Path(scratch), _free_port()
        (folder / "digits").mkdir()
        subprocess.run([python, "-c", _MODEL], cwd=folder, env=variables, check=True, timeout=_SECONDS)
        ports = {"http_port": port, "grpc_port": _free_port(), "metrics_port": _free_port()}
        settings = {"host": "127.0.0.1", **ports, "parallel_workers": 0, "debug": False}
        (folder / "settings.json").write_text(json.dumps(settings))
        described = {"name": "digits", "implementation": "mlserver_sklearn.SKLearnModel"}
        parameters = {"parameters": {"uri": "./model.joblib", "version": "v1"}}
        (folder / "digits" / "model-settings.json").write_text(json.dumps({**described, **parameters}))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [python, "-c", _PROGRAM], cwd=folder, env=variables, stdout=log, stderr=log, start_new_session=True
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _await_ready(process, f"{url}/v2/models/digits/ready")
            yield url
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310 - http, on loopback
            return
        time.sleep(0.1)
    raise UsageError("MLServer did not start.", "Make its environment anew with `make servers`.")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ends the server with its children: asks first, then kills."""
    for request in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, request)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
            return
