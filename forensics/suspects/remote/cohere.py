"""Cohere's `POST /v2/embed` (schema: cohere-python 7.3.1); floats only.

The model embeds a text differently under each input type, so the examiner must choose one.
"""

from collections.abc import Mapping
from typing import Any

from forensics.errors import UsageError
from forensics.suspects.remote.batch import BatchRoute
from forensics.suspects.remote.parsing import Row, items, member, parse_body, vector
from forensics.suspects.remote.questions import choice, given, integer, known_options, named_model

MOST = 96
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering")


def make_embeddings(url: str, model: str | None, options: Mapping[str, str]) -> BatchRoute:
    """Binds the options `input_type` (required), `dimensions`, `truncate` (NONE, START, END) and `batch`.

    Raises:
        UsageError: no model, no input type, or an option that is not understood.
    """
    known = known_options("cohere", options, ("batch", "dimensions", "input_type", "truncate"))
    if "input_type" not in known:
        raise UsageError("cohere needs an input type.", f"Write ?input_type= with one of: {', '.join(INPUT_TYPES)}.")
    named, kind = named_model("cohere", model), choice(known, "input_type", INPUT_TYPES, "")
    dimensions = integer(known, "dimensions", 1, 1 << 16)
    truncate = choice(known, "truncate", ("NONE", "START", "END"), "NONE")

    def body(texts: list[str]) -> dict[str, Any]:
        return given(
            model=named,
            input_type=kind,
            texts=texts,
            embedding_types=["float"],
            truncate=truncate,
            output_dimension=dimensions,
        )

    return BatchRoute("cohere", "/v2/embed", body, _read, integer(known, "batch", 1, MOST) or MOST, known)


def _read(raw: bytes, count: int) -> list[Row | None]:
    rows = member(member(parse_body(raw, written=True), "embeddings", dict), "float", list)
    return [vector(row) for row in items(rows, count, "'embeddings.float'")]
