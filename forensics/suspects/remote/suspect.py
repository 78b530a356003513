"""A suspect behind an API: its identity, plain questions, and the run of an acquisition."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from forensics.codec import decode_answers
from forensics.records import Answers, Plan, Probe
from forensics.suspects.remote.adapter import Adapter
from forensics.suspects.remote.connection import Connection
from forensics.suspects.remote.form import Form
from forensics.suspects.remote.prober import Prober
from forensics.suspects.remote.registry import find_factory
from forensics.suspects.remote.tables import ByName
from forensics.suspects.remote.transport import Transport
from forensics.suspects.remote.uri import identify, parse_uri
from forensics.suspects.remote.witness import Memory, Past, SecondPass, Witness


class RemoteSuspect:
    """Asks an end point through its adapter; holds the API key, and shows it to nobody but the end point.

    Attributes:
        by_name: the classes of what `answer` returned stand in the order of their names, not the model's.
    """

    def __init__(self, name: str, url: str, model: str | None, adapter: Adapter, connection: Connection) -> None:
        """Binds an adapter to a place.

        Args:
            name: the URI, without secrets.
            url: base URL.
        """
        self.identity = identify(name, url, model, adapter)
        self.adapter = adapter
        self.connection = connection
        self._url = url
        self.by_name = False
        self._form: Mapping[str, object] | None = None
        self._first_rows: tuple[object, ...] = ()

    @classmethod
    def open(cls, name: str, connection: Connection) -> "RemoteSuspect":
        """Opens a suspect by its URI, or by the file of `json:FILE`; asks nothing yet.

        Raises:
            UsageError: no such protocol, or a URI or options that it does not know.
        """
        if name.startswith("json:"):
            from forensics.suspects.remote.generic import read_description

            url, model, adapter = read_description(Path(name.removeprefix("json:")))
            return cls(name, url, model, adapter, connection)
        uri = parse_uri(name)
        adapter = find_factory(uri.scheme)(uri.url, uri.model, uri.options)
        return cls(name, uri.url, uri.model, adapter, connection)

    def batch_size(self, plan: Plan) -> int:
        """Returns how many probes of a plan go into one conversation."""
        return max(1, min(plan.batch_size, self.adapter.limit))

    def answer(self, probes: Sequence[Probe], *, names: Sequence[str] | None = ()) -> Answers:
        """Answers probes in order; what failed is marked missing. Nothing is recorded.

        Args:
            names: class names that single classes are expected to have; None for whatever names come, see `Form.of`.

        Raises:
            Unreachable: the suspect cannot be asked at all.
            UsageError: the probes are of a kind that the protocol cannot carry.
        """
        memory = Memory()
        past = Past(form=self._form, first_rows=self._first_rows, constant=True)
        size = max(1, min(len(probes), self.adapter.limit))

        def approve(first: Answers, _: tuple[str, ...]) -> None:
            self.by_name = isinstance(first, ByName)

        asyncio.run(self.converse(probes, [(0, len(probes))], size, memory, past, names=names, approve=approve))
        if self._form is None:
            self._form, self._first_rows = memory.form, tuple(memory.batches[0])
        answers = decode_answers({**(self._form or {}), "values": memory.rows})
        width = Form.recorded(self._form, list(self._first_rows)).width if self._form else 0
        if answers.values.ndim == 2 and answers.missing.all():  # without a valid row they have no width of their own
            values = np.full((answers.n, width), np.nan)
            answers = Answers(answers.kind, values, np.ones(answers.n, dtype=np.bool_), answers.labels)
        return answers

    async def converse(
        self,
        probes: Sequence[Probe],
        remaining: Iterable[tuple[int, int]],
        size: int,
        witness: Witness,
        past: Past,
        *,
        names: Sequence[str] | None = (),
        approve: Callable[[Answers, tuple[str, ...]], None] = lambda _answers, _labels: None,
        advance: Callable[[int], None] = lambda _units: None,
        then: SecondPass | None = None,
    ) -> None:
        """Asks what is unanswered of a plan and tells a witness of everything; see `Prober.run`."""
        key = self.connection.api_key
        credentials = self.adapter.authorization(key) if key is not None else {}
        async with Transport(self._url, credentials, self.connection) as transport:
            prober = Prober(transport, self.adapter, self.connection, witness, past, names, approve, advance)
            await prober.run(probes, remaining, size, then)
