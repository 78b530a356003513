"""Chat completions: `POST /v1/chat/completions`; a text, or the log-probability of a continuation of one token."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from forensics.errors import UsageError
from forensics.records import AnswerKind, Probe
from forensics.suspects.remote import tables
from forensics.suspects.remote.adapter import BadAnswerError, Conversation, Request
from forensics.suspects.remote.parsing import member, text
from forensics.suspects.remote.questions import (
    bearer,
    encode,
    given,
    integer,
    known_options,
    named_model,
    text_of,
    units,
)
from forensics.suspects.remote.tokens import Step, chat_step, first_choice

NAMES = ("max_completion_tokens", "max_tokens", "system", "top")
USUAL_TOKENS = 64
USUAL_TOP = 20


@dataclass(frozen=True)
class Chat:
    """One probe a conversation and one request a probe; a continuation outside the likeliest tokens is missing."""

    model: str
    top: int = USUAL_TOP
    max_tokens: int = USUAL_TOKENS
    newer_limit: bool = False
    system: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    limit: int = 1
    scheme: str = "openai-chat"
    kind: AnswerKind | None = None

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation of one probe."""
        if len(probes) != 1:
            raise UsageError(f"{self.scheme} takes one probe a conversation.")
        prompt = text_of(probes[0], self.scheme)
        if probes[0].operation == "answer":
            return self._answer(probes, prompt)
        return self._score(probes, prompt, probes[0].continuation)

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)

    def _answer(self, probes: Sequence[Probe], prompt: str) -> Conversation:
        words: str | None = yield self._request(probes, self._body(prompt, self.max_tokens), read_reply)
        return tables.texts([words])

    def _score(self, probes: Sequence[Probe], prompt: str, continuation: bytes) -> Conversation:
        body = self._body(prompt, 1) | {"logprobs": True, "top_logprobs": self.top}
        step: Step = yield self._request(probes, body, read_chat_step)
        return tables.log_probabilities([step.get(continuation, float("nan"))])

    def _request(self, probes: Sequence[Probe], body: dict[str, object], read: Callable[[bytes], object]) -> Request:
        extra = self.max_tokens + len((self.system or "").encode("utf-8"))
        return Request("/chat/completions", encode(body), read, units(probes) + extra)

    def _body(self, prompt: str, most: int) -> dict[str, object]:
        system = [{"role": "system", "content": self.system}] if self.system else []
        return given(
            model=self.model,
            messages=[*system, {"role": "user", "content": prompt}],
            max_tokens=None if self.newer_limit else most,
            max_completion_tokens=most if self.newer_limit else None,
            temperature=0,
            top_p=1,
        )


def make_chat(url: str, model: str | None, options: Mapping[str, str]) -> Chat:
    """Binds the options `top`, `system` and the length of a text, under the name the server knows it by.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("openai-chat", options, NAMES)
    newer = integer(known, "max_completion_tokens", 1, 4096)
    if newer and "max_tokens" in known:
        raise UsageError("'max_tokens' and 'max_completion_tokens' are two names of one limit.", "Name one of them.")
    return Chat(
        named_model("openai-chat", model),
        integer(known, "top", 1, 1000) or USUAL_TOP,
        newer or integer(known, "max_tokens", 1, 4096) or USUAL_TOKENS,
        newer is not None,
        known.get("system"),
        known,
    )


def read_reply(raw: bytes) -> str | None:
    """Reads the only choice's text; None where the message has none.

    Raises:
        BadAnswerError: there is no such choice or no message.
    """
    return text(member(first_choice(raw), "message", dict).get("content"))


def read_chat_step(raw: bytes) -> Step:
    """Reads the likeliest first tokens.

    Raises:
        BadAnswerError: the body shows none; some servers drop the request for them without a word.
    """
    step = chat_step(first_choice(raw).get("logprobs"))
    if not step:
        raise BadAnswerError("the answer shows no log-probabilities of the generated token")
    return step
