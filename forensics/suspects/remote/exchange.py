"""Driving one batch's conversation: attempts, pauses, and a line of the transcript for each that is made."""

import asyncio
import base64
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from forensics.canonical import decimal
from forensics.errors import ForensicsError, StorageError, Unreachable, UsageError
from forensics.records import Answers, Probe
from forensics.suspects.remote.adapter import Adapter, BadAnswerError, Request
from forensics.suspects.remote.connection import Connection
from forensics.suspects.remote.form import is_sound
from forensics.suspects.remote.limits import Caps, Pace, growing_pause, wished_pause
from forensics.suspects.remote.transport import SUCCESS, NoAnswerError, Reply, Transport
from forensics.suspects.remote.witness import Event, Past, Witness

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
WHOLE = frozenset({401, 403, 404, 413})
"""Status of answers that no part of a conversation can go on after."""

LEAST_BYTES, PROBE_BYTES = 1 << 20, 1 << 17
"""How many bytes an answer may always have, and how many more for each probe: 4096 numbers take 90,000."""

RUBBISH = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""What reading a hostile body may raise beside `BadAnswerError`."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive probes of a plan that are asked together.

    Attributes:
        again: asked a second time, to see whether the suspect is constant.
    """

    first: int
    count: int
    again: bool = False

    @property
    def body(self) -> dict[str, Any]:
        """What its lines in the transcript begin with."""
        head: dict[str, Any] = {"first": self.first, "count": self.count}
        return {**head, "again": True} if self.again else head

    def halves(self) -> tuple["Chunk", "Chunk"]:
        """Splits it, the larger half first."""
        half = (self.count + 1) // 2
        return Chunk(self.first, half), Chunk(self.first + half, self.count - half)


class GivenUpError(Exception):
    """A batch has no answer; the sentence says why.

    Attributes:
        status: of the last answer, 0 without one.
        passing: it may be answered at another time.
    """

    def __init__(self, reason: str, *, status: int = 0, passing: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.passing = passing


class StoppedError(Exception):
    """No further request may be sent."""


class Exchange:
    """What all conversations with one suspect share."""

    def __init__(
        self, transport: Transport, adapter: Adapter, connection: Connection, witness: Witness, past: Past
    ) -> None:
        self._transport = transport
        self._adapter = adapter
        self._connection = connection
        self._witness = witness
        self._replies = dict(past.replies)
        self._caps = Caps(connection, past.attempts, past.tokens)
        self._pace = Pace(connection)
        self.stop: ForensicsError | None = None

    async def ask(self, chunk: Chunk, probes: list[Probe]) -> tuple[Answers, float, bytes]:
        """Returns a batch's answers, the seconds they took, and the last body.

        Raises:
            GivenUpError: there are none.
            StoppedError: `stop` says why nothing more may be sent.
        """
        started = time.monotonic()
        conversation = self._adapter.converse(probes)
        failure: GivenUpError | None = None
        body, step = b"", 0
        try:
            request = next(conversation)
            while True:
                try:
                    value, body = await self._request(chunk, step, request)
                    request = conversation.send(value)
                except GivenUpError as error:
                    if error.status in WHOLE:
                        raise
                    failure = error
                    request = conversation.throw(BadAnswerError(str(error)))
                step += 1
        except StopIteration as end:
            answers = end.value
        except BadAnswerError as error:
            raise failure or self._unusable(chunk, str(error)) from None
        except RUBBISH as error:
            raise self._unusable(chunk, f"the answers cannot be read ({type(error).__name__})") from None
        finally:
            conversation.close()
        if not isinstance(answers, Answers) or not is_sound(answers, chunk.count):
            raise self._unusable(chunk, "the answers are not one a probe")
        return answers, time.monotonic() - started, body

    def _unusable(self, chunk: Chunk, reason: str) -> GivenUpError:
        self._witness.note({"event": "failure", **chunk.body, "reason": reason})
        return GivenUpError(reason)

    async def _request(self, chunk: Chunk, step: int, request: Request) -> tuple[Any, bytes]:
        """Returns what a request's body was read as, and the body."""
        digest = sha256(request.body).hexdigest()
        known = self._replies.pop((chunk.first, chunk.count, step), None) if not chunk.again else None
        if known is not None and known[0] == digest:
            return request.read(known[1]), known[1]
        name = f"{chunk.first} {chunk.count} {step}"
        attempt = 0
        while True:
            attempt += 1
            head = {**chunk.body, "step": step, "attempt": attempt}
            reply, reason = await self._attempt(head, request, digest, _most(chunk))
            if reply is not None and not reason:
                try:
                    value = request.read(reply.body)
                except BadAnswerError as error:
                    reason = str(error)[:300]
                except RUBBISH as error:
                    reason = f"the body cannot be read ({type(error).__name__})"
                else:
                    self._witness.note({"event": "received", **head, **_received(reply)})
                    return value, reply.body
            if reply is not None:
                self._witness.note({"event": "received", **head, **_received(reply.shortened())})
            reason = self._transport.redactor.clean_text(reason)
            self._witness.note({"event": "failure", **head, "reason": reason})
            self._judge(reply, reason)
            if attempt >= self._connection.attempts:
                raise GivenUpError(reason, status=reply.status if reply else 0, passing=True)
            await asyncio.sleep(self._pause(reply, attempt, name))

    async def _attempt(self, head: Event, request: Request, digest: str, most: int) -> tuple[Reply | None, str]:
        """Makes one attempt with at most so many bytes of an answer; returns the answer, and why it is none."""
        if self.stop is None and self._witness.full:
            self.stop = StorageError(
                "The acquisition stopped in good order: the suspect's answers fill what a transcript may hold.",
                "What is recorded is kept; begin another case with shorter answers, such as fewer dimensions.",
            )
        if self.stop is None and (forbidden := self._caps.reserve(request.units)):
            self.stop = UsageError(
                f"The acquisition stopped in good order: {forbidden}.", "Raise the cap and add --resume to go on."
            )
        if self.stop is not None:
            raise StoppedError
        await self._pace.wait(request.units)
        sent = {"method": request.method, "url": self._transport.target(request), "type": request.content_type}
        await self._witness.record(
            {"event": "sent", **head, **sent, "units": request.units, "sha256": digest, **_content(request.body)}
        )
        try:
            reply = await self._transport.send(request, most)
        except NoAnswerError as error:
            return None, str(error)
        if reply.trouble:
            return reply, reply.trouble
        return reply, "" if reply.status in SUCCESS else _status(reply.status)

    def _judge(self, reply: Reply | None, reason: str) -> None:
        """Raises where another attempt would be of no use."""
        if reply is None or reply.status in SUCCESS:
            return
        if reply.status == 429 and b"insufficient_quota" in reply.body:
            self.stop = Unreachable(
                "The suspect's service says that the account's quota is used up.",
                "Top the account up and add --resume to go on.",
            )
            raise StoppedError
        if reply.status not in RETRIED:
            raise GivenUpError(reason, status=reply.status)

    def _pause(self, reply: Reply | None, attempt: int, name: str) -> float:
        wished = wished_pause(reply.fields) if reply is not None else None
        if wished is None:
            return growing_pause(self._connection.pause, attempt, name)
        if reply is not None and reply.status == 429:
            self._pace.hold(wished)
        return wished


def _most(chunk: Chunk) -> int:
    """How many bytes an answer to so many probes may have: ten times the usual, and no burden."""
    return LEAST_BYTES + chunk.count * PROBE_BYTES


def _status(status: int) -> str:
    if 300 <= status < 400:
        return f"redirects elsewhere (status {status})"
    return f"status {status}"


def _content(body: bytes) -> dict[str, str]:
    """Bytes as text where they are UTF-8, else as base64."""
    try:
        return {"body": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def _received(reply: Reply) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "status": reply.status,
        "headers": reply.headers,
        "http": reply.http,
        "peer": reply.peer,
        "elapsed": decimal(round(reply.elapsed, 6)),
        "sha256": sha256(reply.body).hexdigest(),
        **_content(reply.body),
    }
    if reply.certificate:
        facts["certificate"] = reply.certificate
    if reply.redacted:
        facts["redacted"] = True
    if reply.cut:
        facts["cut"] = True
    if reply.whole is not None:
        facts["whole"] = {"sha256": reply.whole[0], "bytes": reply.whole[1]}
    return facts
