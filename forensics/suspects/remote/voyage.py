"""Voyage's `POST /v1/embeddings` (schema: voyageai 0.5.0): OpenAI's shape with an input type.

An input type puts a prompt before the text, so it is part of what is examined.
"""

from collections.abc import Mapping
from typing import Any

from forensics.suspects.remote.batch import BatchRoute
from forensics.suspects.remote.openai import read_data
from forensics.suspects.remote.questions import choice, given, integer, known_options, named_model, truth

MOST = 1000


def make_embeddings(url: str, model: str | None, options: Mapping[str, str]) -> BatchRoute:
    """Binds the options `input_type` (query, document), `dimensions`, `truncation` and `batch`.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("voyage", options, ("batch", "dimensions", "input_type", "truncation"))
    named = named_model("voyage", model)
    kind = choice(known, "input_type", ("query", "document"), "") if "input_type" in known else None
    dimensions, truncation = integer(known, "dimensions", 1, 1 << 16), truth(known, "truncation") or False

    def body(texts: list[str]) -> dict[str, Any]:
        return given(
            model=named,
            input=texts,
            input_type=kind,
            truncation=truncation,
            output_dimension=dimensions,
            output_dtype="float",
        )

    return BatchRoute("voyage", "/embeddings", body, read_data, integer(known, "batch", 1, MOST) or MOST, known)
