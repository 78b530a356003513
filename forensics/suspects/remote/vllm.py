"""vLLM's own routes: `POST /classify` (all probabilities of a classifier) and `POST /pooling` (raw pooled vectors)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forensics.records import AnswerKind, Probe
from forensics.suspects.remote import tables
from forensics.suspects.remote.adapter import Conversation, Request
from forensics.suspects.remote.openai import ask_vectors, read_data
from forensics.suspects.remote.parsing import Row, by_index, items, member, parse_body, vector
from forensics.suspects.remote.questions import (
    bearer,
    encode,
    integer,
    known_options,
    named_model,
    names_of,
    texts_of,
    units,
)

USUAL = 64
MOST = 4096


@dataclass(frozen=True)
class VllmClassifier:
    """Probabilities in the model's column order, whose names a body does not tell: `labels` may name them."""

    model: str
    labels: tuple[str, ...] = ()
    limit: int = USUAL
    options: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "vllm-classify"
    kind: AnswerKind | None = AnswerKind.PROBABILITIES

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation: one request for all probes."""
        body = {"model": self.model, "input": texts_of(probes, self.scheme)}
        return self._ask(Request("/classify", encode(body), lambda raw: _read(raw, len(probes)), units(probes)))

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)

    def _ask(self, request: Request) -> Conversation:
        rows: list[Row | None] = yield request
        return tables.vectors(rows, AnswerKind.PROBABILITIES, self.labels)


@dataclass(frozen=True)
class VllmPooling:
    """Pooled vectors; un-pooled ones, a list of vectors a text, count as missing."""

    model: str
    limit: int = USUAL
    options: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "vllm-pooling"
    kind: AnswerKind | None = AnswerKind.VECTORS

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation: one request for all probes."""
        body = {"model": self.model, "input": texts_of(probes, self.scheme), "encoding_format": "float"}
        read = lambda raw: read_data(raw, len(probes), "data")  # noqa: E731 - the same form as its neighbours
        return ask_vectors(Request("/pooling", encode(body), read, units(probes)))

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)


def make_classifier(url: str, model: str | None, options: Mapping[str, str]) -> VllmClassifier:
    """Binds the options `labels` (names in column order) and `batch`.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("vllm-classify", options, ("batch", "labels"))
    batch = integer(known, "batch", 1, MOST) or USUAL
    return VllmClassifier(named_model("vllm-classify", model), names_of(known, "labels"), batch, known)


def make_pooling(url: str, model: str | None, options: Mapping[str, str]) -> VllmPooling:
    """Binds the option `batch`.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("vllm-pooling", options, ("batch",))
    return VllmPooling(named_model("vllm-pooling", model), integer(known, "batch", 1, MOST) or USUAL, known)


def _read(raw: bytes, count: int) -> list[Row | None]:
    entries = items(member(parse_body(raw), "data", list), count, "'data'")
    return [_row(entry) for entry in by_index(entries)]


def _row(entry: dict[str, Any]) -> Row | None:
    row = vector(entry.get("probs"))
    return row if row is not None and entry.get("num_classes") in (None, len(row)) else None
