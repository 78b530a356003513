"""What a protocol must offer: requests for probes, and a reading of each answer's body."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from forensics.records import AnswerKind, Answers, Probe


class BadAnswerError(Exception):
    """A body is no valid answer (an error in disguise, another shape, rubbish); the sentence says why."""


@dataclass(frozen=True)
class Request:
    """One HTTP request, fully determined by the probes and the adapter's options.

    Attributes:
        path: appended to the suspect's base URL, with its leading slash; may be empty.
        body: the bytes that are sent.
        read: judges a body and returns what the conversation goes on with; raises `BadAnswerError`.
        units: an upper limit of what the request is billed for, in tokens (a UTF-8 byte counts as one).
        method: `POST`, or `GET` without a body.
        headers: further headers, without secrets.
    """

    path: str
    body: bytes
    read: Callable[[bytes], Any]
    units: int
    content_type: str = "application/json"
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)


Conversation = Generator[Request, Any, Answers]
"""Yields requests one after the other, is sent what `Request.read` returned, and returns the probes' answers.

Most protocols need one request. A conversation is deterministic: the same replies lead to the same requests.
"""


class Adapter(Protocol):
    """A protocol with its options bound; knows no network.

    Attributes:
        scheme: as in the suspect's URI, such as `tei`.
        kind: what the answers are; an adapter that learns it from the first body says so by None.
        limit: most probes that one conversation may take.
        options: those of the URI's query that were understood, for the identity.
    """

    @property
    def scheme(self) -> str: ...  # noqa: D102

    @property
    def kind(self) -> AnswerKind | None: ...  # noqa: D102

    @property
    def limit(self) -> int: ...  # noqa: D102

    @property
    def options(self) -> Mapping[str, str]: ...  # noqa: D102

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation that answers these probes, in order; what is not valid is marked missing.

        Raises:
            UsageError: the probes are of a kind that the protocol cannot carry.
        """
        ...

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the headers that carry the API key."""
        ...
