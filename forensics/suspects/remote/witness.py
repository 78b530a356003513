"""Who writes down what was sent and received, and what an interrupted run left behind."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from forensics.suspects.remote.form import plain

Event: TypeAlias = Mapping[str, Any]
"""One line of a transcript: JSON values without floats."""

Step: TypeAlias = tuple[int, int, int]
"""First probe, number of probes, and which request of the conversation, from 0."""


class Witness(Protocol):
    """Writes events down in the order in which they are given."""

    @property
    def full(self) -> bool:
        """Whether so much is written down that nothing more may be asked."""
        ...

    def note(self, *events: Event) -> None:
        """Takes events; they are durable, all or none, before anything given later is."""
        ...

    async def record(self, *events: Event) -> None:
        """Takes events and returns when they are durable."""
        ...


@dataclass(frozen=True)
class Past:
    """What was recorded before this run.

    Attributes:
        attempts: requests sent.
        tokens: their upper limits, summed.
        form: the `form` event; None before the first answer.
        first_rows: rows of the first batch.
        replies: bodies of valid answers to requests of conversations that were not finished, with the SHA-256 of
            the request they answer.
        models: model names that the bodies stated.
        constant: the first batch was asked once more already.
    """

    attempts: int = 0
    tokens: int = 0
    form: Event | None = None
    first_rows: tuple[Any, ...] = ()
    replies: Mapping[Step, tuple[str, bytes]] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    constant: bool = False


@dataclass(frozen=True)
class SecondPass:
    """What is asked once everything of a first pass is recorded.

    Attributes:
        heads: how many probes the first pass asks in all.
        runs: settles what is asked, and returns it: first probe, and the one behind the last.
    """

    heads: int
    runs: Callable[[], Iterable[tuple[int, int]]]


class Memory:
    """A witness that keeps rows and form only; for questions that are no part of an acquisition."""

    def __init__(self) -> None:
        self.form: Event | None = None
        self.batches: dict[int, list[Any]] = {}

    @property
    def full(self) -> bool:
        """See `Witness.full`; what it keeps is bounded by the plan."""
        return False

    def note(self, *events: Event) -> None:
        """See `Witness.note`."""
        for event in events:
            if event["event"] == "form":
                self.form = event
            elif event["event"] == "batch":
                self.batches[event["first"]] = plain(event["rows"])

    async def record(self, *events: Event) -> None:
        """See `Witness.record`."""
        self.note(*events)

    @property
    def rows(self) -> list[Any]:
        """The rows in the order of the probes."""
        return [row for first in sorted(self.batches) for row in self.batches[first]]
