"""Ollama's `POST /api/embed` (schema: ollama-python 0.6.3); the older `/api/embeddings` is not spoken.

Ollama itself asks for no API key, a proxy before it may.
"""

from collections.abc import Mapping
from typing import Any

from forensics.suspects.remote.batch import BatchRoute
from forensics.suspects.remote.parsing import Row, items, member, parse_body, vector
from forensics.suspects.remote.questions import given, integer, known_options, named_model, truth

USUAL = 64
MOST = 4096


def make_embeddings(url: str, model: str | None, options: Mapping[str, str]) -> BatchRoute:
    """Binds the options `dimensions`, `truncate` and `batch`.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("ollama", options, ("batch", "dimensions", "truncate"))
    named, truncate = named_model("ollama", model), truth(known, "truncate") or False
    dimensions = integer(known, "dimensions", 1, 1 << 16)

    def body(texts: list[str]) -> dict[str, Any]:
        return given(model=named, input=texts, truncate=truncate, dimensions=dimensions)

    return BatchRoute("ollama", "/api/embed", body, _read, integer(known, "batch", 1, MOST) or USUAL, known)


def _read(raw: bytes, count: int) -> list[Row | None]:
    rows = member(parse_body(raw, written=True), "embeddings", list)
    return [vector(row) for row in items(rows, count, "'embeddings'")]
