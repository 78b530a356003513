"""Hugging Face's Text Embeddings Inference: `POST /embed` for vectors, `POST /predict` for classifiers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forensics.records import AnswerKind, Probe
from forensics.suspects.remote import tables
from forensics.suspects.remote.adapter import BadAnswerError, Conversation, Request
from forensics.suspects.remote.openai import ask_vectors
from forensics.suspects.remote.parsing import Row, items, parse_body, vector
from forensics.suspects.remote.questions import bearer, encode, given, integer, known_options, texts_of, truth, units

USUAL = 32
MOST = 4096


@dataclass(frozen=True)
class TeiEmbeddings:
    """Pooled vectors; `normalize=false` keeps their norms."""

    normalize: bool = True
    truncate: bool = False
    prompt_name: str | None = None
    limit: int = USUAL
    options: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "tei"
    kind: AnswerKind | None = AnswerKind.VECTORS

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation: one request for all probes."""
        body = given(
            inputs=texts_of(probes, self.scheme),
            normalize=self.normalize,
            truncate=self.truncate,
            prompt_name=self.prompt_name,
        )
        return ask_vectors(Request("/embed", encode(body), lambda raw: _read_rows(raw, len(probes)), units(probes)))

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)


@dataclass(frozen=True)
class TeiClassifier:
    """Probabilities of all labels, or logits with `raw_scores=true`."""

    raw_scores: bool = False
    truncate: bool = False
    limit: int = USUAL
    options: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "tei-predict"
    kind: AnswerKind | None = AnswerKind.PROBABILITIES

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation: one request for all probes."""
        # A flat list of two texts would be read as one pair; a batch is a list of lists.
        inputs = [[text] for text in texts_of(probes, self.scheme)]
        body = {"inputs": inputs, "raw_scores": self.raw_scores, "truncate": self.truncate}
        request = Request("/predict", encode(body), lambda raw: read_predictions(raw, len(probes)), units(probes))
        return self._ask(request)

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)

    def _ask(self, request: Request) -> Conversation:
        rows: list[tables.Scores | None] = yield request
        return tables.scores(rows, self.kind or AnswerKind.PROBABILITIES)


def read_predictions(raw: bytes, count: int) -> list[tables.Scores | None]:
    """Reads `[[{"label", "score"}, ...], ...]`, or the inner list alone where there was one probe.

    Raises:
        BadAnswerError: the body has another shape or another number of rows.
    """
    body = parse_body(raw)
    if count == 1 and isinstance(body, list) and body and isinstance(body[0], dict):
        body = [body]
    return [tables.named_scores(row) for row in _lists(items(body, count, "the answer"))]


def _read_rows(raw: bytes, count: int) -> list[Row | None]:
    return [vector(row) for row in items(parse_body(raw, written=True), count, "the answer")]


def _lists(rows: list[Any]) -> list[Any]:
    if any(row is not None and not isinstance(row, list) for row in rows):
        raise BadAnswerError("the answer is no list of lists of labels and scores")
    return rows


def make_embeddings(url: str, model: str | None, options: Mapping[str, str]) -> TeiEmbeddings:
    """Binds the options `normalize`, `truncate`, `prompt_name` and `batch`; a model's name is only for the record.

    Raises:
        UsageError: an option is not understood.
    """
    known = known_options("tei", options, ("batch", "normalize", "prompt_name", "truncate"))
    normalize = truth(known, "normalize")
    return TeiEmbeddings(
        True if normalize is None else normalize,
        truth(known, "truncate") or False,
        known.get("prompt_name"),
        integer(known, "batch", 1, MOST) or USUAL,
        known,
    )


def make_classifier(url: str, model: str | None, options: Mapping[str, str]) -> TeiClassifier:
    """Binds the options `raw_scores`, `truncate` and `batch`; a model's name is only for the record.

    Raises:
        UsageError: an option is not understood.
    """
    known = known_options("tei-predict", options, ("batch", "raw_scores", "truncate"))
    raw = truth(known, "raw_scores") or False
    return TeiClassifier(
        raw,
        truth(known, "truncate") or False,
        integer(known, "batch", 1, MOST) or USUAL,
        known,
        kind=AnswerKind.LOGITS if raw else AnswerKind.PROBABILITIES,
    )
