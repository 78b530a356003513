"""Ollama's `POST /api/embed` (schema: ollama-python 0.6.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forensics.records import AnswerKind, Probe
from forensics.suspects.remote.adapter import Conversation, Request
from forensics.suspects.remote.openai import ask_vectors
from forensics.suspects.remote.parsing import Row, items, member, parse_body, vector
from forensics.suspects.remote.questions import (
    bearer,
    encode,
    given,
    integer,
    known_options,
    named_model,
    texts_of,
    truth,
    units,
)

USUAL = 64
MOST = 4096


@dataclass(frozen=True)
class OllamaEmbeddings:
    """Vectors by `/api/embed`; the older `/api/embeddings` is not spoken."""

    model: str
    dimensions: int | None = None
    truncate: bool = False
    limit: int = USUAL
    options: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "ollama"
    kind: AnswerKind | None = AnswerKind.VECTORS

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation: one request for all probes."""
        body = given(
            model=self.model,
            input=texts_of(probes, self.scheme),
            truncate=self.truncate,
            dimensions=self.dimensions,
        )
        return ask_vectors(Request("/api/embed", encode(body), lambda raw: _read(raw, len(probes)), units(probes)))

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header; Ollama itself asks for none, a proxy before it may."""
        return bearer(secret)


def make_embeddings(url: str, model: str | None, options: Mapping[str, str]) -> OllamaEmbeddings:
    """Binds the options `dimensions`, `truncate` and `batch`.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("ollama", options, ("batch", "dimensions", "truncate"))
    return OllamaEmbeddings(
        named_model("ollama", model),
        integer(known, "dimensions", 1, 1 << 16),
        truth(known, "truncate") or False,
        integer(known, "batch", 1, MOST) or USUAL,
        known,
    )


def _read(raw: bytes, count: int) -> list[Row | None]:
    return [
        vector(row) for row in items(member(parse_body(raw, written=True), "embeddings", list), count, "'embeddings'")
    ]
