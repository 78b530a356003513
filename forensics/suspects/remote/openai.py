"""Embeddings by OpenAI's `POST /v1/embeddings`, which many servers speak (schema: openai-python 3.54).

Floats are asked for unless told otherwise; floats and base64 are understood, whichever was asked for.
"""

from collections.abc import Mapping
from typing import Any

from forensics.suspects.remote.batch import BatchRoute
from forensics.suspects.remote.parsing import Row, by_index, items, member, parse_body, vector
from forensics.suspects.remote.questions import choice, given, integer, known_options, named_model

MOST = 2048
NAMES = ("batch", "dimensions", "encoding")


def read_data(raw: bytes, count: int, name: str = "embedding") -> list[Row | None]:
    """Reads `{"data": [{"index": ..., "embedding": ...}]}`.

    Raises:
        BadAnswerError: the body has another shape or another number of rows.
    """
    entries = items(member(parse_body(raw, written=True), "data", list), count, "'data'")
    return [vector(entry.get(name)) for entry in by_index(entries)]


def make_embeddings(url: str, model: str | None, options: Mapping[str, str]) -> BatchRoute:
    """Binds the options `dimensions`, `encoding` (float or base64) and `batch`.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("openai", options, NAMES)
    named, dimensions = named_model("openai", model), integer(known, "dimensions", 1, 1 << 16)
    encoding = choice(known, "encoding", ("float", "base64"), "float")

    def body(texts: list[str]) -> dict[str, Any]:
        return given(model=named, input=texts, encoding_format=encoding, dimensions=dimensions)

    return BatchRoute("openai", "/embeddings", body, read_data, integer(known, "batch", 1, MOST) or MOST, known)
