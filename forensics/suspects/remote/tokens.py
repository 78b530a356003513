"""Log-probabilities of tokens in the shapes that servers give them: classic lists, chat-like content, vLLM's prompt."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, TypeAlias

from forensics.suspects.remote.adapter import BadAnswerError
from forensics.suspects.remote.parsing import items, member, number, parse_body

OUTSIDE = -9999.0
"""What OpenAI's schema gives as the log-probability of a token outside the likeliest ones."""

_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")

Step: TypeAlias = dict[bytes, float]
"""Log-probabilities of the likeliest next tokens, by their bytes."""


@dataclass(frozen=True)
class Echo:
    """What a body shows of the text that was sent.

    Attributes:
        shown: whether its tokens, put together, are that text.
        tokens: bytes and log-probability (NaN for the first) of each token of the text.
        step: the likeliest tokens of the generated position, for servers that show no prompt.
    """

    shown: bool
    tokens: tuple[tuple[bytes, float], ...] = ()
    step: Step | None = None

    def score(self, start: int) -> float | None:
        """Returns the sum over the tokens from byte `start` on; None where one lies across it or has no value."""
        if not self.shown:
            return None
        offset, total = 0, 0.0
        for token, log_probability in self.tokens:
            if offset >= start:
                total += log_probability
            elif offset + len(token) > start:
                return None
            offset += len(token)
        return None if isnan(total) else total


def first_choice(raw: bytes) -> dict[str, Any]:
    """Returns the only choice of a completion.

    Raises:
        BadAnswerError: the body has not exactly one.
    """
    choice = items(member(parse_body(raw), "choices", list), 1, "'choices'")[0]
    if not isinstance(choice, dict):
        raise BadAnswerError("'choices' does not hold an object")
    return choice


def read_step(raw: bytes) -> Step:
    """Reads the likeliest tokens of one generated position.

    Raises:
        BadAnswerError: the body shows no log-probabilities; some servers drop the request for them without a word.
    """
    step = _step(member(first_choice(raw), "logprobs", dict), 0)
    if not step:
        raise BadAnswerError("the answer shows no log-probabilities of the generated token")
    return step


def read_echo(raw: bytes, whole: str) -> Echo:
    """Reads what a body shows of `whole`, and the position generated after it.

    Raises:
        BadAnswerError: the body shows no log-probabilities at all.
    """
    logprobs = member(first_choice(raw), "logprobs", dict)
    tokens, values = logprobs.get("tokens"), logprobs.get("token_logprobs")
    if isinstance(tokens, list) and isinstance(values, list) and len(tokens) == len(values):
        pairs = [(_bytes_of(token, None), number(value)) for token, value in zip(tokens, values, strict=True)]
        echo = _matching(pairs, whole)
        # One token with a value is the generated one, which may by chance be all of a short text.
        if echo.shown and (len(pairs) > 1 or isnan(pairs[0][1])):
            return echo
    step = _step(logprobs, 0)
    if not step:
        raise BadAnswerError("the answer shows no log-probabilities")
    return Echo(False, step=step)


def read_prompt(raw: bytes, whole: str) -> Echo:
    """Reads vLLM's `prompt_logprobs`: null or one `{id: {"logprob", "decoded_token"}}` for each token of `whole`.

    Raises:
        BadAnswerError: the body is no completion.
    """
    entries = first_choice(raw).get("prompt_logprobs")
    if not isinstance(entries, list):
        return Echo(False)
    pairs: list[tuple[bytes | None, float]] = []
    for entry in entries:
        only = list(entry.values()) if isinstance(entry, dict) else []
        if len(only) == 1 and isinstance(only[0], dict):
            pairs.append((_bytes_of(only[0].get("decoded_token"), None), number(only[0].get("logprob"))))
        elif entry is not None or pairs:
            return Echo(False)
    known = b"".join(token or b"" for token, _ in pairs)
    sent = whole.encode("utf-8")
    # The first token has no entry: its bytes are what the others leave of the text.
    if not sent.endswith(known) or any(token is None for token, _ in pairs):
        return Echo(False)
    head = sent[: len(sent) - len(known)]
    return Echo(True, ((head, float("nan")), *((token or b"", value) for token, value in pairs)))


def chat_step(logprobs: Any) -> Step:
    """Reads `content[0]` of a chat answer's `logprobs`; empty where there is none."""
    return _content_step(logprobs.get("content")) if isinstance(logprobs, dict) else {}


def longest_step(step: Step, rest: bytes) -> tuple[bytes, float] | None:
    """Returns the longest token that `rest` begins with and that ends at a character's end; None where none does."""
    for token in sorted((each for each in step if each and rest.startswith(each)), key=len, reverse=True):
        if len(token) == len(rest) or rest[len(token)] & 0xC0 != 0x80:
            return token, step[token]
    return None


def _step(logprobs: dict[str, Any], position: int) -> Step:
    if isinstance(logprobs.get("content"), list):
        return _content_step(logprobs["content"])
    step: Step = {}
    tops, tokens, values = (_at(logprobs.get(name), position) for name in ("top_logprobs", "tokens", "token_logprobs"))
    for token, value in [*(tops.items() if isinstance(tops, dict) else ()), (tokens, values)]:
        _add(step, _bytes_of(token, None), value)
    return step


def _content_step(content: Any) -> Step:
    step: Step = {}
    position = _at(content, 0)
    if isinstance(position, dict):
        tops = position.get("top_logprobs")
        for entry in [*(tops if isinstance(tops, list) else ()), position]:
            if isinstance(entry, dict):
                _add(step, _bytes_of(entry.get("token"), entry.get("bytes")), entry.get("logprob"))
    return step


def _add(step: Step, token: bytes | None, value: Any) -> None:
    log_probability = number(value)
    # A value above zero, none at all, or the mark of a token outside the list says nothing about the token.
    if token is not None and OUTSIDE < log_probability <= 1e-3:
        step[token] = max(log_probability, step.get(token, OUTSIDE))


def _matching(pairs: Sequence[tuple[bytes | None, float]], whole: str) -> Echo:
    sent = whole.encode("utf-8")
    for skipped in (0, 1):
        # A server may show the mark of the text's beginning, which has no value and is no part of the text.
        if skipped and not (pairs and isnan(pairs[0][1])):
            break
        shown: list[tuple[bytes, float]] = []
        length = 0
        for token, value in pairs[skipped:]:
            if token is None or not sent.startswith(token, length):
                break
            shown.append((token, value))
            length += len(token)
            if length == len(sent):
                return Echo(True, tuple(shown))
    return Echo(False)


def _bytes_of(token: Any, raw: Any) -> bytes | None:
    """Returns a token's bytes: from its list of bytes, from `bytes:\\xf0...`, or from its text."""
    if isinstance(raw, list) and all(type(each) is int and 0 <= each < 256 for each in raw):
        return bytes(raw)
    if not isinstance(token, str):
        return None
    if token.startswith("bytes:") and token.isascii():
        shown = token.removeprefix("bytes:")
        return _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), shown).encode("latin-1")
    try:
        return token.encode("utf-8")
    except UnicodeEncodeError:
        return None


def _at(value: Any, position: int) -> Any:
    return value[position] if isinstance(value, list) and position < len(value) else None
