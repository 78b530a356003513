"""Embeddings by OpenAI's `POST /v1/embeddings`, which many servers speak (schema: openai-python 3.54)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.remote import tables
from forensics.suspects.remote.adapter import Conversation, Request
from forensics.suspects.remote.parsing import Row, by_index, items, member, parse_body, vector
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

MOST = 2048
NAMES = ("batch", "dimensions", "encoding")


@dataclass(frozen=True)
class Embeddings:
    """Asks for float numbers unless told otherwise; understands floats and base64, whichever was asked for."""

    model: str
    dimensions: int | None = None
    encoding: str = "float"
    limit: int = MOST
    options: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "openai"
    kind: AnswerKind | None = AnswerKind.VECTORS

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation: one request for all probes."""
        body = given(
            model=self.model,
            input=texts_of(probes, self.scheme),
            encoding_format=self.encoding,
            dimensions=self.dimensions,
        )
        request = Request("/embeddings", encode(body), lambda raw: read_data(raw, len(probes)), units(probes))
        return ask_vectors(request)

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)


def ask_vectors(request: Request) -> Conversation:
    """Yields one request whose reading gives a row a probe, and returns them as vectors."""
    rows: list[Row | None] = yield request
    answers: Answers = tables.vectors(rows)
    return answers


def read_data(raw: bytes, count: int, name: str = "embedding") -> list[Row | None]:
    """Reads `{"data": [{"index": ..., "embedding": ...}]}`.

    Raises:
        BadAnswerError: the body has another shape or another number of rows.
    """
    entries = items(member(parse_body(raw, written=True), "data", list), count, "'data'")
    return [vector(entry.get(name)) for entry in by_index(entries)]


def make_embeddings(url: str, model: str | None, options: Mapping[str, str]) -> Embeddings:
    """Binds the options `dimensions`, `encoding` (float or base64) and `batch`.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("openai", options, NAMES)
    return Embeddings(
        named_model("openai", model),
        integer(known, "dimensions", 1, 1 << 16),
        choice(known, "encoding", ("float", "base64"), "float"),
        integer(known, "batch", 1, MOST) or MOST,
        known,
    )
