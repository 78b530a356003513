"""MLServer with a classifier of scikit-learn's digits on loopback, in an environment of its own (`make servers`)."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from forensics.bench.foreign import environment, free_port, running
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
        MissingExtraError: its environment is missing.
        Unreachable: it does not start.
    """
    python = str(environment("mlserver") / "bin" / "python")
    with tempfile.TemporaryDirectory() as scratch:
        folder, port = Path(scratch), free_port()
        (folder / "digits").mkdir()
        subprocess.run([python, "-c", _MODEL], cwd=folder, check=True, timeout=_SECONDS)
        ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
        settings = {"host": "127.0.0.1", **ports, "parallel_workers": 0, "debug": False}
        (folder / "settings.json").write_text(json.dumps(settings))
        described = {"name": "digits", "implementation": "mlserver_sklearn.SKLearnModel"}
        parameters = {"parameters": {"uri": "./model.joblib", "version": "v1"}}
        (folder / "digits" / "model-settings.json").write_text(json.dumps({**described, **parameters}))
        with running([python, "-c", _PROGRAM], port, folder, "/v2/models/digits/ready") as url:
            yield url
