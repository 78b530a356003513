"""One batch's conversation, held again with the bodies that a transcript has instead of a network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from forensics.errors import ForensicsError
from forensics.records import Answers, Probe
from forensics.suspects.remote.adapter import Adapter, BadAnswerError, Request
from forensics.suspects.remote.exchange import RUBBISH, WHOLE
from forensics.suspects.remote.form import is_sound
from forensics.suspects.remote.transport import SUCCESS

Known = Mapping[int, tuple[str, bytes]]
"""Answers that an interrupted run left behind: step -> (SHA-256 of the request, body)."""


class OddError(Exception):
    """What is recorded is not how the conversation goes; the sentence, without an end, says how."""


class DarkError(Exception):
    """The conversation cannot be held without the probes themselves."""


@dataclass(frozen=True)
class HiddenProbe(Probe):
    """A probe of which the digest alone is known; its place in a batch is enough for most readings."""

    told: str = ""

    @property
    def digest(self) -> str:  # noqa: D102
        return self.told


class Rereading:
    """Follows the lines of one batch: what was sent, what came back, what was given up.

    Attributes:
        request: the one that must come next, or is being answered; None when the conversation is over.
        step: its position.
        read: how many bodies were read.
        answers: what the conversation returned; None where it was given up, or is not over.
    """

    def __init__(self, adapter: Adapter, probes: Sequence[Probe], known: Known) -> None:
        """Begins a conversation, and goes on with what is known from an interrupted run.

        Raises:
            DarkError: the adapter needs the probes, which are hidden.
        """
        self._hidden = any(isinstance(probe, HiddenProbe) for probe in probes)
        self._count = len(probes)
        self._known = dict(known)
        self._body: bytes | None = None
        self._failed = False
        self._status = 0
        self.request: Request | None = None
        self.step = -1
        self.read = 0
        self.answers: Answers | None = None
        try:
            self._conversation = adapter.converse(probes)
        except (ForensicsError, *RUBBISH) as error:
            if not self._hidden:
                raise
            raise DarkError from error
        self._move(lambda: next(self._conversation))

    def sent(self, step: int) -> Request:
        """Takes the next line of the kind `sent`; returns what it must hold.

        Raises:
            OddError: no such request follows.
            DarkError: it cannot be told without the probes.
        """
        if step == self.step + 1:
            self._advance()
        if self.request is None or step != self.step or self._body is not None:
            raise OddError("asks what no conversation of the suspect's protocol asks there")
        self._failed, self._status = False, 0
        return self.request

    def received(self, status: int, body: bytes, *, whole: bool) -> None:
        """Takes the next line of the kind `received`.

        Args:
            whole: the whole body is kept.
        """
        self._status = status
        self._body = body if status in SUCCESS and whole else None
        self._failed = self._body is None

    def failed(self) -> None:
        """Takes the next line of the kind `failure`.

        Raises:
            OddError: what came back is a valid answer.
        """
        body, self._body, self._failed = self._body, None, True
        if body is None or self.request is None:
            return
        try:
            self.request.read(body)
        except (BadAnswerError, *RUBBISH):
            return
        raise OddError("sets a valid answer aside")

    def finish(self) -> Answers | None:
        """Returns the answers at the end of the conversation; None where it was given up.

        Raises:
            OddError: the conversation is not over, or an answer cannot be read.
            DarkError: it cannot be told without the probes.
        """
        if self.request is not None:
            self._advance()
        if self.request is not None:
            raise OddError("follows from a conversation that is not over")
        return self.answers

    def _advance(self) -> None:
        """Gives the conversation what came back, as when it was held."""
        request, body = self.request, self._body
        if request is None:
            return
        if body is not None:
            try:
                value = request.read(body)
            except (BadAnswerError, *RUBBISH) as error:
                raise OddError("counts an answer that cannot be read") from error
            self.read += 1
            self._move(lambda: self._conversation.send(value))
        elif not self._failed:
            raise OddError("follows from a request without an answer")
        elif self._status in WHOLE:
            self.request = None
        else:
            self._move(lambda: self._conversation.throw(BadAnswerError("the request was given up")))

    def _move(self, go: Callable[[], Request]) -> None:
        """Goes to the next request that is not answered by what is known already."""
        self._body, self._failed = None, False
        try:
            while True:
                self.request = go()
                self.step += 1
                if self._hidden and self.step > 0:
                    raise DarkError
                digest, body = self._known.pop(self.step, ("", b""))
                if not digest or not (self._hidden or digest == sha256(self.request.body).hexdigest()):
                    return
                value = self.request.read(body)
                self.read += 1
                go = lambda value=value: self._conversation.send(value)  # type: ignore[misc]  # noqa: E731
        except StopIteration as end:
            self.request = None
            if isinstance(end.value, Answers) and is_sound(end.value, self._count):
                self.answers = end.value
        except (BadAnswerError, *RUBBISH):
            self.request = None
