"""Putting a plan to a remote suspect: a first batch alone, then many at a time, then the first once more."""

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from forensics.canonical import EncodedList, decimal
from forensics.errors import Unreachable
from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.remote.adapter import Adapter
from forensics.suspects.remote.connection import Connection
from forensics.suspects.remote.exchange import Chunk, Exchange, GivenUpError, StoppedError
from forensics.suspects.remote.form import Form, count_differing, plain
from forensics.suspects.remote.transport import Transport
from forensics.suspects.remote.witness import Past, SecondPass, Witness

MAX_FAILURES = 20
"""So many batches without an answer, one after the other, end a run."""

CONSTANCY = 1e-4
"""Largest difference of a number, asked twice, that counts as no difference."""

_EMPTY_AT_FIRST = frozenset({AnswerKind.LOG_PROBABILITIES, AnswerKind.TEXT})
"""Kinds whose first batch may be empty: a continuation outside the likeliest tokens, a chat that declines."""

_MAX_CHANGES, _MODEL_SPAN = 20, 4096
_MODEL = re.compile(rb'"model(?:_name)?"\s*:\s*("(?:[^"\\]|\\.){0,200}")')


class Prober:
    """One run over a plan; nothing of it depends on a secret."""

    def __init__(
        self,
        transport: Transport,
        adapter: Adapter,
        connection: Connection,
        witness: Witness,
        past: Past,
        names: Sequence[str] | None = (),
        approve: Callable[[Answers, tuple[str, ...]], None] = lambda _answers, _labels: None,
        advance: Callable[[int], None] = lambda _units: None,
    ) -> None:
        """Prepares a run.

        Args:
            names: class names that answers of labels are expected to have; None for whatever names come.
            approve: is told the first answers and the labels of their form; raises where the suspect cannot be
                examined.
            advance: is told how many more probes are done.
        """
        self._exchange = Exchange(transport, adapter, connection, witness, past)
        self._transport = transport
        self._adapter = adapter
        self._connection = connection
        self._witness = witness
        self._past = past
        self._names = names
        self._approve = approve
        self._advance = advance
        self._rows = list(past.first_rows)
        self._form = Form.recorded(past.form, self._rows) if past.form is not None else None
        self._models = list(past.models)
        self._changes = 0
        self._failures = 0
        self._given_up: list[Chunk] = []

    async def run(
        self,
        probes: Sequence[Probe],
        remaining: Iterable[tuple[int, int]],
        size: int,
        then: SecondPass | None = None,
    ) -> None:
        """Asks what is not answered yet.

        Args:
            probes: of the whole plan.
            remaining: runs of unanswered probes, first and behind the last, in order; of the first pass where there
                are two.
            size: most probes of a batch.
            then: the second pass, asked once all of the first is answered or given up, and recorded.

        Raises:
            Unreachable: the suspect does not answer, or too many batches in a row fail.
            UsageError: a cap is reached, or the probes are of a kind that the protocol cannot carry.
        """
        whole = min(size, then.heads if then is not None else len(probes))
        if self._form is not None and len(self._rows) < whole:
            size = len(self._rows) or size
        waiting = split(remaining, size)
        if self._form is None and waiting:
            chunk = waiting.popleft()
            count = await self._pilot(probes, chunk)
            if count < chunk.count:
                rest = [(each.first, each.first + each.count) for each in waiting]
                size, waiting = count, split([(chunk.first + count, chunk.first + chunk.count), *rest], count)
        await self._pass(probes, waiting)
        if then is not None:
            await self._witness.record()
            await self._pass(probes, split(then.runs(), size))
        if not self._past.constant and self._rows:
            await self._ask_again(probes)
        await self._witness.record()

    async def _pilot(self, probes: Sequence[Probe], chunk: Chunk) -> int:
        """Asks the first batch, halved as long as it is too large, and returns how many probes it had."""
        while True:
            try:
                answers, elapsed, body = await self._exchange.ask(chunk, _of(probes, chunk))
            except StoppedError:
                await self._witness.record()
                raise self._exchange.stop or Unreachable("The acquisition stopped.") from None
            except GivenUpError as error:
                await self._witness.record()
                if error.status == 413 and chunk.count > 1:
                    chunk = chunk.halves()[0]
                    continue
                raise _unreachable(error) from None
            if answers.missing.all() and answers.kind not in _EMPTY_AT_FIRST:
                await self._witness.record()
                raise Unreachable("None of the suspect's first answers is valid.", "Check its URI and its options.")
            self._form = Form.of(answers, self._names)
            self._approve(answers, self._form.labels)
            self._witness.note({"event": "form", **self._form.body})
            self._keep(probes, chunk, answers, elapsed, body)
            return chunk.count

    async def _pass(self, probes: Sequence[Probe], waiting: deque[Chunk]) -> None:
        """Asks batches until each is answered or given up, and counts the latter as missing."""
        await self._work_together(probes, waiting)
        if self._exchange.stop is not None:
            await self._witness.record()
            raise self._exchange.stop
        for chunk in sorted(self._given_up, key=lambda each: each.first):
            self._missing(probes, chunk)
        self._given_up.clear()

    async def _work_together(self, probes: Sequence[Probe], waiting: deque[Chunk]) -> None:
        # While some requests are under way the lines of the next are written; the transport lets no more through.
        ahead = 2 if self._connection.concurrency > 1 else 1
        count = min(ahead * self._connection.concurrency, 2 * len(waiting))
        workers = [asyncio.create_task(self._work(probes, waiting)) for _ in range(count)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, probes: Sequence[Probe], waiting: deque[Chunk]) -> None:
        """Asks one batch after the other until none is left or all must stop."""
        while waiting and self._exchange.stop is None:
            chunk = waiting.popleft()
            try:
                answers, elapsed, body = await self._exchange.ask(chunk, _of(probes, chunk))
            except StoppedError:
                return
            except GivenUpError as error:
                if error.status == 413 and chunk.count > 1:
                    waiting.extendleft(reversed(chunk.halves()))
                else:
                    self._fail(probes, chunk, error)
                continue
            self._failures = 0
            self._keep(probes, chunk, answers, elapsed, body)

    def _keep(self, probes: Sequence[Probe], chunk: Chunk, answers: Answers, elapsed: float, body: bytes) -> None:
        assert self._form is not None
        rows, change = self._form.rows(answers)
        if chunk.first == 0 and not self._rows:
            self._rows = plain(rows)
        self._watch_model(chunk, body)
        if change:
            self._note_change(chunk, "form", change)
        self._witness.note(_batch(probes, chunk, rows, elapsed))
        self._advance(chunk.count)

    def _fail(self, probes: Sequence[Probe], chunk: Chunk, error: GivenUpError) -> None:
        """Counts a batch as missing; at once where the suspect refused it, at the end where it may yet answer."""
        self._failures += 1
        if error.passing:
            self._given_up.append(chunk)
        else:
            self._missing(probes, chunk)
        if self._failures > MAX_FAILURES and self._exchange.stop is None:
            self._exchange.stop = Unreachable(
                f"The suspect left {self._failures} batches in a row unanswered; the last: {error}.",
                "Find out why; an acquisition goes on with --resume.",
            )

    def _missing(self, probes: Sequence[Probe], chunk: Chunk) -> None:
        self._witness.note(_batch(probes, chunk, [None] * chunk.count, 0.0))
        self._advance(chunk.count)

    async def _ask_again(self, probes: Sequence[Probe]) -> None:
        """Asks the first batch once more and records how many answers differ; decides nothing."""
        chunk = Chunk(0, len(self._rows), again=True)
        found: dict[str, Any] = {"event": "constancy", "first": 0, "count": chunk.count}
        try:
            answers, _, _ = await self._exchange.ask(chunk, _of(probes, chunk))
        except (GivenUpError, StoppedError) as error:
            cause = self._exchange.stop.cause if self._exchange.stop is not None else str(error)
            self._witness.note({**found, "differing": None, "reason": cause})
            return
        assert self._form is not None
        rows, _ = self._form.rows(answers)
        differing = count_differing(self._rows, plain(rows), CONSTANCY)
        self._witness.note({**found, "differing": differing, "tolerance": decimal(CONSTANCY)})

    def _watch_model(self, chunk: Chunk, body: bytes) -> None:
        """Records each new model name that a body states."""
        found = _MODEL.search(body[:_MODEL_SPAN]) or _MODEL.search(body[-_MODEL_SPAN:])
        if found is None:
            return
        try:
            name = str(json.loads(found[1])).encode("utf-8", "replace").decode("utf-8")
        except ValueError:
            return
        if name not in self._models and len(self._models) < _MAX_CHANGES:
            self._models.append(name)
            self._witness.note({"event": "model", "first": chunk.first, "name": name})

    def _note_change(self, chunk: Chunk, what: str, now: str) -> None:
        self._changes += 1
        if self._changes <= _MAX_CHANGES:
            self._witness.note({"event": "change", **chunk.body, "what": what, "now": now})


def split(remaining: Iterable[tuple[int, int]], size: int) -> deque[Chunk]:
    """Cuts runs of probes (first, behind the last) into batches of at most `size`."""
    return deque(
        Chunk(first, min(size, stop - first)) for start, stop in remaining for first in range(start, stop, size)
    )


def _of(probes: Sequence[Probe], chunk: Chunk) -> list[Probe]:
    return list(probes[chunk.first : chunk.first + chunk.count])


def _batch(probes: Sequence[Probe], chunk: Chunk, rows: list[Any] | EncodedList, elapsed: float) -> dict[str, Any]:
    return {
        "event": "batch",
        "first": chunk.first,
        "probes": [probe.digest for probe in _of(probes, chunk)],
        "rows": rows,
        "elapsed": decimal(round(elapsed, 6)),
    }


def _unreachable(error: GivenUpError) -> Unreachable:
    if error.status == 401:
        return Unreachable("The suspect wants an API key, or another one (status 401).", "Name it with --api-key-env.")
    if error.status == 403:
        return Unreachable("The suspect refuses access (status 403).", "Ask for access, or check the API key.")
    if error.status == 404:
        return Unreachable("There is no such route or model (status 404).", "Check the URL and the model's name.")
    return Unreachable(f"The suspect did not answer the first probes: {error}.", "Check the address and the server.")
