"""infinity with all-MiniLM-L6-v2, behind an API key."""

import numpy as np
import pytest

from forensics.errors import Unreachable
from forensics.records import AnswerKind
from tests.servers.ask import ask, text_probes

# Cosines that the model's card prints for these sentences and the first of them.
SENTENCES = ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
COSINES = [1.0, 0.6946, 0.9429, 0.2569]

pytestmark = pytest.mark.slow


def test_embeddings(infinity: str) -> None:
    name = f"openai+{infinity}/v1#minilm"
    answers = ask(name, text_probes(SENTENCES), "test-key")
    assert answers.kind is AnswerKind.VECTORS
    assert answers.values.shape == (4, 384)
    assert answers.values @ answers.values[0] == pytest.approx(COSINES, abs=1e-3)
    packed = ask(f"openai+{infinity}/v1?encoding=base64#minilm", text_probes(SENTENCES), "test-key")
    assert np.abs(packed.values - answers.values).max() < 1e-6
    short = ask(f"openai+{infinity}/v1?dimensions=64#minilm", text_probes(SENTENCES), "test-key")
    assert short.values.shape == (4, 64)


def test_without_the_key_there_is_no_answer(infinity: str) -> None:
    with pytest.raises(Unreachable):
        ask(f"openai+{infinity}/v1#minilm", text_probes())
