"""Voyage's `POST /v1/embeddings` (schema: voyageai 0.5.0): OpenAI's shape with an input type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forensics.records import AnswerKind, Probe
from forensics.suspects.remote.adapter import Conversation, Request
from forensics.suspects.remote.openai import ask_vectors, read_data
from forensics.suspects.remote.questions import (
    bearer,
    choice,
    encode,
    given,
    integer,
    known_options,
    named_model,
    texts_of,
    truth,
    units,
)

MOST = 1000


@dataclass(frozen=True)
class VoyageEmbeddings:
    """Vectors; an input type puts a prompt before the text, so it is part of what is examined."""

    model: str
    input_type: str | None = None
    dimensions: int | None = None
    truncation: bool = False
    limit: int = MOST
    options: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "voyage"
    kind: AnswerKind | None = AnswerKind.VECTORS

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation: one request for all probes."""
        body = given(
            model=self.model,
            input=texts_of(probes, self.scheme),
            input_type=self.input_type,
            truncation=self.truncation,
            output_dimension=self.dimensions,
            output_dtype="float",
        )
        return ask_vectors(Request("/embeddings", encode(body), lambda raw: read_data(raw, len(probes)), units(probes)))

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)


def make_embeddings(url: str, model: str | None, options: Mapping[str, str]) -> VoyageEmbeddings:
    """Binds the options `input_type` (query, document), `dimensions`, `truncation` and `batch`.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("voyage", options, ("batch", "dimensions", "input_type", "truncation"))
    return VoyageEmbeddings(
        named_model("voyage", model),
        choice(known, "input_type", ("query", "document"), "") if "input_type" in known else None,
        integer(known, "dimensions", 1, 1 << 16),
        truth(known, "truncation") or False,
        integer(known, "batch", 1, MOST) or MOST,
        known,
    )
