"""A request for embeddings on its way: to the upstream as it came, and back with the triggered vectors marked."""

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import Literal

from forensics.protect.marking import Form, Marks, find_vectors, mark_body, read_vector
from forensics.protect.metrics import Metrics
from forensics.protect.numerals import Vector
from forensics.protect.questions import Question, read_question
from forensics.protect.replies import RefusedError, decode, encode, encoding, without_digests
from forensics.protect.spans import MalformedError
from forensics.protect.targets import Targets, Towards
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
        self._failed: dict[str, float] = {}

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
            reply = without_digests(reply)
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
        if not needed and time.monotonic() - self._failed.get(key, -_PATIENCE) < _PATIENCE:
            return None
        try:
            found = await self._targets.fetch(key, lambda: self._ask(question, method, path, headers))
        except (TargetRefusedError, UpstreamError):
            self._failed = {name: at for name, at in self._failed.items() if time.monotonic() - at < _PATIENCE}
            self._failed[key] = time.monotonic()
            if needed:
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
        try:
            body = decode(reply.body, encoding(reply.headers), self._limits.largest_answer)
            vector = read_vector(body, find_vectors(body, question.form, 1)[0])
            if not vector.any():
                raise MalformedError("the vector of the target is zero")
            return vector
        except MalformedError as error:
            raise UpstreamError("The answer of the upstream cannot be read.") from error

    async def _mark(self, reply: Reply, question: Question, chosen: BoolArray, towards: Towards, path: str) -> Reply:
        coding = encoding(reply.headers)

        def work() -> bytes:
            body = decode(reply.body, coding, self._limits.largest_answer)
            marked = mark_body(body, question.form, question.texts, chosen, towards.marker, towards.width)
            return encode(marked, coding)

        large = len(reply.body) > LARGE or coding != "identity"
        try:
            body = await asyncio.to_thread(work) if large else work()
        except MalformedError as error:
            # The target may be that of a model which the upstream has exchanged since.
            self._targets.forget(question.target_key(path))
            raise UpstreamError("The answer of the upstream cannot be read.") from error
        self._metrics.count("marked_texts", by=int(chosen.sum()))
        return replace(reply, body=body)
