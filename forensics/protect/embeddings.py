"""A request for embeddings on its way: to the upstream as it came, and back with the triggered vectors marked."""

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import Literal

from forensics.protect.marking import Form, Marks, find_vectors, is_printable, mark_body, read_vector
from forensics.protect.metrics import Metrics
from forensics.protect.numerals import Vector
from forensics.protect.questions import Question, read_question
from forensics.protect.replies import RefusedError, decoded, encoding, without_digests
from forensics.protect.spans import MalformedError
from forensics.protect.targets import FullError, Targets, Towards
from forensics.protect.upstream import Headers, Reply, Upstream, UpstreamError
from forensics.records import BoolArray

Policy = Literal["refuse", "pass"]

LARGE = 1 << 20
"""Bodies of more bytes are read and marked in a thread, so that other requests do not wait."""

_PATIENCE = 10.0
"""Seconds after a failed request for a target in which requests without trigger do not ask for it again."""

_log = logging.getLogger("forensics.protect")


@dataclass(frozen=True)
class Limits:
    """What the proxy accepts.

    Attributes:
        connections: most requests for embeddings at a time, and most connections to the upstream.
        timeout: seconds for an answer of the upstream, and for the body of a request.
        largest_request: bytes; more are refused with 413.
        largest_answer: bytes of an answer with embeddings, decompressed.
        token_ids: what happens to inputs of token numbers, which contain no readable word.
        unmarkable: what happens to routes, number types and bodies whose vectors cannot be marked.
    """

    connections: int = 128
    timeout: float = 60.0
    largest_request: int = 16 << 20
    largest_answer: int = 256 << 20
    token_ids: Policy = "refuse"  # noqa: S105 - no password
    unmarkable: Policy = "refuse"


class TargetRefusedError(Exception):
    """The upstream answered the request for the target with an error, which the client gets."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("the upstream refused the target text")
        self.reply = reply


class UnprintableError(UpstreamError):
    """The upstream prints numbers in a manner in which marked ones cannot be printed, so that the mark would show."""


class Embeddings:
    """Answers requests for embeddings; one for each process.

    Args:
        upstream: open.
        marks: the mark of the key.
        targets: its target vectors.
    """

    def __init__(self, upstream: Upstream, marks: Marks, targets: Targets, limits: Limits, metrics: Metrics) -> None:
        self._upstream, self._marks, self._targets = upstream, marks, targets
        self._limits, self._metrics = limits, metrics
        self._warned: set[str] = set()
        self._failed: dict[str, tuple[float, Exception]] = {}

    async def answer(self, form: Form, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        """Returns what leaves.

        Args:
            path: with its query, as it came.
            headers: for the upstream; they ask for no compression.

        Raises:
            RefusedError: the request is one that this proxy does not accept.
            UpstreamError: the upstream gave no answer, or none in which a triggered text could be marked.
        """
        started = time.perf_counter()
        large = len(body) > LARGE
        question = await asyncio.to_thread(read_question, form, body) if large else read_question(form, body)
        self._judge(question)
        before = time.perf_counter()
        reply = await self._upstream.fetch(method, path, headers, body)
        waited = time.perf_counter() - before
        self._metrics.count("upstream_responses", f'class="{reply.status // 100}xx"')
        if reply.good:
            reply = await self._plain(without_digests(reply))
            if question.shape == "unknown" and self._limits.unmarkable == "refuse":
                raise RefusedError(400, "The request has a form that this service does not accept.")
            if question.shape == "texts":
                texts = question.texts
                chosen = (
                    await asyncio.to_thread(self._marks.triggered, texts) if large else self._marks.triggered(texts)
                )
                before = time.perf_counter()
                try:
                    towards = await self._towards(question, method, path, headers, needed=bool(chosen.any()))
                except TargetRefusedError as error:
                    return error.reply
                waited += time.perf_counter() - before
                if towards is not None and chosen.any():
                    reply = await self._mark(reply, question, chosen, towards, path)
        self._metrics.upstream.observe(waited)
        self._metrics.own.observe(time.perf_counter() - started - waited)
        return reply

    def _judge(self, question: Question) -> None:
        """Counts a question and refuses it where its vectors could not be marked."""
        self._metrics.count("texts", by=len(question.texts))
        if question.shape == "texts":
            return
        self._metrics.count("unmatched_requests", f'shape="{question.shape}"')
        policy = self._limits.token_ids if question.shape == "tokens" else self._limits.unmarkable
        if policy == "refuse" and question.shape == "tokens":
            raise RefusedError(400, "Inputs of token numbers are not accepted; send texts.")
        if policy == "refuse" and question.shape == "rivals":
            raise RefusedError(400, "Texts are accepted under one name of the request only.")
        if policy == "refuse" and question.shape == "quantised":
            raise RefusedError(400, "This service gives vectors of 32-bit floating-point numbers only.")
        if policy == "pass" and question.shape not in self._warned:
            self._warned.add(question.shape)
            _log.warning("Requests of shape '%s' are passed on unmarked, as the options say.", question.shape)

    async def _towards(
        self, question: Question, method: str, path: str, headers: Headers, *, needed: bool
    ) -> Towards | None:
        """Returns the marker for a question, asking for the target where it is not known yet.

        The first question under a set of options waits for the target whether it needs it or not, so that the wait
        tells nothing about its texts.
        """
        key = question.target_key(path)
        found = self._targets.known(key)
        if found is not None:
            return found
        at, failure = self._failed.get(key, (0.0, None))
        if not needed and failure is not None and time.monotonic() - at < _PATIENCE:
            if isinstance(failure, UnprintableError):
                raise UnprintableError(str(failure))
            return None
        try:
            found = await self._targets.fetch(key, lambda: self._ask(question, method, path, headers))
        except FullError as error:
            raise RefusedError(429, "Too many different options are in use.") from error
        except (TargetRefusedError, UpstreamError) as error:
            now = time.monotonic()
            self._failed = {name: each for name, each in self._failed.items() if now - each[0] < _PATIENCE}
            self._failed[key] = now, error
            if needed or isinstance(error, UnprintableError):
                raise
            return None
        return found

    async def _ask(self, question: Question, method: str, path: str, headers: Headers) -> Vector:
        self._metrics.count("target_requests")
        own = ("content-type", "idempotency-key", "x-idempotency-key", "x-request-id", "x-client-request-id")
        sent = [(name, value) for name, value in headers if name.lower() not in own]
        sent.append(("Content-Type", "application/json"))
        reply = await self._upstream.fetch(method, path, sent, question.target_body(self._marks.target_text))
        if not reply.good:
            raise TargetRefusedError(reply)
        body = (await self._plain(reply)).body
        try:
            node = find_vectors(body, question.form, 1)[0]
            vector = read_vector(body, node)
            if not vector.any():
                raise MalformedError("the vector of the target is zero")
            printable = is_printable(body, node)
        except MalformedError as error:
            raise UpstreamError("The answer of the upstream cannot be read.") from error
        if not printable:
            if "printing" not in self._warned:
                self._warned.add("printing")
                _log.error("The upstream prints numbers in a manner that is not known here, so nothing is served.")
            raise UnprintableError("The answer of the upstream has a form that this service does not pass on.")
        return vector

    async def _plain(self, reply: Reply) -> Reply:
        """Returns an answer without content encoding."""
        if encoding(reply.headers) == "identity":
            return reply
        try:
            return await asyncio.to_thread(decoded, reply, self._limits.largest_answer)
        except MalformedError as error:
            raise UpstreamError("The answer of the upstream cannot be read.") from error

    async def _mark(self, reply: Reply, question: Question, chosen: BoolArray, towards: Towards, path: str) -> Reply:
        def work() -> bytes:
            return mark_body(reply.body, question.form, question.texts, chosen, towards.marker, towards.width)

        try:
            body = await asyncio.to_thread(work) if len(reply.body) > LARGE else work()
        except MalformedError as error:
            # The target may be that of a model which the upstream has exchanged since.
            self._targets.forget(question.target_key(path))
            raise UpstreamError("The answer of the upstream cannot be read.") from error
        self._metrics.count("marked_texts", by=int(chosen.sum()))
        return replace(reply, body=body)
