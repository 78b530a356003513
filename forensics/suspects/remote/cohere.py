"""Cohere's `POST /v2/embed` (schema: cohere-python 7.3.1); floats only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forensics.errors import UsageError
from forensics.records import AnswerKind, Probe
from forensics.suspects.remote.adapter import Conversation, Request
from forensics.suspects.remote.openai import ask_vectors
from forensics.suspects.remote.parsing import Row, items, member, parse_body, vector
from forensics.suspects.remote.questions import (
    bearer,
    choice,
    encode,
    given,
    integer,
    known_options,
    named_model,
    texts_of,
    units,
)

MOST = 96
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering")


@dataclass(frozen=True)
class CohereEmbeddings:
    """Vectors of one input type, which the examiner must choose: the model embeds a text differently under each."""

    model: str
    input_type: str
    dimensions: int | None = None
    truncate: str = "NONE"
    limit: int = MOST
    options: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "cohere"
    kind: AnswerKind | None = AnswerKind.VECTORS

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation: one request for all probes."""
        body = given(
            model=self.model,
            input_type=self.input_type,
            texts=texts_of(probes, self.scheme),
            embedding_types=["float"],
            truncate=self.truncate,
            output_dimension=self.dimensions,
        )
        return ask_vectors(Request("/v2/embed", encode(body), lambda raw: _read(raw, len(probes)), units(probes)))

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)


def make_embeddings(url: str, model: str | None, options: Mapping[str, str]) -> CohereEmbeddings:
    """Binds the options `input_type` (required), `dimensions`, `truncate` (NONE, START, END) and `batch`.

    Raises:
        UsageError: no model, no input type, or an option that is not understood.
    """
    known = known_options("cohere", options, ("batch", "dimensions", "input_type", "truncate"))
    if "input_type" not in known:
        raise UsageError("cohere needs an input type.", f"Write ?input_type= with one of: {', '.join(INPUT_TYPES)}.")
    return CohereEmbeddings(
        named_model("cohere", model),
        choice(known, "input_type", INPUT_TYPES, ""),
        integer(known, "dimensions", 1, 1 << 16),
        choice(known, "truncate", ("NONE", "START", "END"), "NONE"),
        integer(known, "batch", 1, MOST) or MOST,
        known,
    )


def _read(raw: bytes, count: int) -> list[Row | None]:
    rows = member(member(parse_body(raw, written=True), "embeddings", dict), "float", list)
    return [vector(row) for row in items(rows, count, "'embeddings.float'")]
