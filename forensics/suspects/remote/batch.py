"""What most protocols have in common: one request takes many texts and its answer has a row for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.remote import tables
from forensics.suspects.remote.adapter import Conversation, Request
from forensics.suspects.remote.questions import bearer, encode, texts_of, units


@dataclass(frozen=True)
class BatchRoute:
    """An adapter of one route; its API key is a bearer token.

    Attributes:
        path: of the route, behind the base URL.
        body: makes a request's body of texts.
        read: reads an answer's body for so many probes, one row a probe, None where it is not valid; raises
            `BadAnswerError` for another shape or another number of rows.
        answers: makes answers of the rows.
    """

    scheme: str
    path: str
    body: Callable[[list[str]], Mapping[str, Any]]
    read: Callable[[bytes, int], list[Any]]
    limit: int
    options: Mapping[str, str]
    kind: AnswerKind | None = AnswerKind.VECTORS
    answers: Callable[[list[Any]], Answers] = tables.vectors

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation: one request for all probes."""
        body = encode(self.body(texts_of(probes, self.scheme)))
        return self._ask(Request(self.path, body, lambda raw: self.read(raw, len(probes)), units(probes)))

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)

    def _ask(self, request: Request) -> Conversation:
        rows: list[Any] = yield request
        return self.answers(rows)
