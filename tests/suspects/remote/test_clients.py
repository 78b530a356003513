"""The fakes themselves, before clients that others wrote: openai's, and NVIDIA's for the Open Inference Protocol."""

import base64
import json
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest

from forensics.bench.results import cache_folder
from tests.suspects.remote.cases import TEXTS
from tests.suspects.remote.fakes import LABELS, Fake, embedding, log_probability, probabilities, serving

# NVIDIA's client needs gevent, which is in the environment of MLServer.
TRITON = """
import json, sys
import numpy
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
client = InferenceServerClient(sys.argv[1])
texts = json.loads(sys.argv[2])
tensor = InferInput("text", [len(texts)], "BYTES")
tensor.set_data_from_numpy(numpy.array([text.encode() for text in texts], dtype=object), binary_data=False)
wanted = [InferRequestedOutput(name, binary_data=False) for name in ("vectors", "scores", "class", "name")]
result = client.infer("m", [tensor], outputs=wanted, request_id="probe-1")
assert result.get_response()["id"] == "probe-1"
found = {each.name(): result.as_numpy(each.name()).tolist() for each in wanted}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with serving(Fake(key="sk-1", expected=["to a fox"])) as running:
        yield running


def test_openai_embeddings(fake: Fake) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{fake.url}/v1", api_key="sk-1", max_retries=0)
    # Left to itself the client asks for base64 and unpacks it; asked for base64 it hands the string on.
    for encoding in ("float", openai.NOT_GIVEN):
        answer = client.embeddings.create(model="m", input=list(TEXTS), encoding_format=encoding)
        rows = [each.embedding for each in sorted(answer.data, key=lambda each: each.index)]
        assert np.array_equal(rows, [embedding(text) for text in TEXTS])
    packed = client.embeddings.create(model="m", input=TEXTS[0], encoding_format="base64").data[0].embedding
    assert np.frombuffer(base64.b64decode(packed), "<f4").tolist() == embedding(TEXTS[0])
    assert len(client.embeddings.create(model="m", input="a", dimensions=3).data[0].embedding) == 3
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{fake.url}/v1", api_key="sk-2", max_retries=0).embeddings.create(model="m", input="a")


def test_openai_completions_and_chat(fake: Fake) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{fake.url}/v1", api_key="sk-1", max_retries=0)
    shown = client.completions.create(
        model="m", prompt="to a", max_tokens=1, temperature=0, top_p=1, logprobs=5, echo=True
    ).choices[0]
    assert shown.logprobs.tokens == ["to", " a", " fox"]
    assert shown.logprobs.token_logprobs == [None, log_probability("to", " a"), log_probability("to a", " fox")]
    assert shown.logprobs.text_offset == [0, 2, 4]
    assert shown.logprobs.top_logprobs[2][" fox"] == log_probability("to a", " fox")
    messages = [{"role": "user", "content": "to a"}]
    chat = client.chat.completions.create(model="m", messages=messages, logprobs=True, top_logprobs=20, max_tokens=1)
    first = chat.choices[0].logprobs.content[0]
    assert bytes(first.bytes) == b" fox"
    assert bytes(first.top_logprobs[-2].bytes) == b"\xf0\x9f"
    assert chat.choices[0].message.content == "echo: to a"


def test_tritonclient_against_the_fake() -> None:
    python = cache_folder() / "servers" / "mlserver" / "bin" / "python"
    if not python.is_file():
        pytest.skip("the environment with tritonclient is missing: run `.ci/servers mlserver`")
    with serving(Fake()) as fake:
        command = [str(python), "-c", TRITON, fake.url.removeprefix("http://"), json.dumps(TEXTS)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert np.array_equal(found["vectors"], [embedding(text) for text in TEXTS])
    assert np.array_equal(found["scores"], [list(probabilities(text).values()) for text in TEXTS])
    assert [LABELS[row[0]] for row in found["class"]] == found["name"]
