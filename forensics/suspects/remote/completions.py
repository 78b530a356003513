"""Text completions: `POST /v1/completions`; scores by echoed log-probabilities or, where there are none, by a walk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from forensics.errors import UsageError
from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.remote import tables
from forensics.suspects.remote.adapter import BadAnswerError, Conversation, Request
from forensics.suspects.remote.parsing import text
from forensics.suspects.remote.questions import (
    bearer,
    choice,
    encode,
    given,
    integer,
    known_options,
    named_model,
    text_of,
    units,
    utf8,
)
from forensics.suspects.remote.tokens import Echo, Step, first_choice, longest_step, read_echo, read_prompt, read_step

NAMES = ("max_tokens", "score", "top")
USUAL_TOKENS = 64
USUAL_TOP = 5


@dataclass(frozen=True)
class Completions:
    """One probe a conversation: a text (greedy), or the log-probability of a continuation.

    Ways to a score: `auto` asks for an echo of the prompt and walks if the body shows none; `echo` and
    `prompt_logprobs` (vLLM's) ask for the whole text and walk if the body shows none of it; `walk` asks for no echo;
    `first` looks at the continuation's first token alone, in one request.
    """

    model: str
    score: str = "auto"
    top: int = USUAL_TOP
    max_tokens: int = USUAL_TOKENS
    options: Mapping[str, str] = field(default_factory=dict)
    limit: int = 1
    scheme: str = "openai-completions"
    kind: AnswerKind | None = None

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation of one probe."""
        if len(probes) != 1:
            raise UsageError(f"{self.scheme} takes one probe a conversation.")
        prompt = text_of(probes[0], self.scheme)
        if probes[0].operation == "answer":
            return self._answer(probes[0], prompt)
        return self._score(prompt, utf8(probes[0].continuation))

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)

    def _answer(self, probe: Probe, prompt: str) -> Conversation:
        body = self._body(prompt, self.max_tokens)
        words: str | None = yield Request("/completions", encode(body), read_text, units([probe]) + self.max_tokens)
        return tables.texts([words])

    def _score(self, prompt: str, continuation: str) -> Conversation:
        whole = prompt + continuation
        start = len(prompt.encode("utf-8"))
        if not continuation:
            return tables.log_probabilities([float("nan")])
        if self.score == "first":
            listed: Step = yield self._request(prompt, read_step)
            taken = longest_step(listed, continuation.encode("utf-8"))
            # A token that is not listed is at most as likely as the least likely of those that are.
            return tables.log_probabilities([taken[1] if taken else min(listed.values())])
        step: Step | None = None
        echoed = self.score == "echo"
        try:
            if self.score == "auto":
                first: Echo = yield self._request(prompt, lambda raw: read_echo(raw, prompt), echo=True)
                echoed, step = first.shown, first.step
            if echoed:
                echo: Echo = yield self._request(whole, lambda raw: read_echo(raw, whole), echo=True)
                if (total := echo.score(start)) is not None:
                    return tables.log_probabilities([total])
            if self.score == "prompt_logprobs":
                shown: Echo = yield self._request(whole, lambda raw: read_prompt(raw, whole), prompt_logprobs=0)
                if (total := shown.score(start)) is not None:
                    return tables.log_probabilities([total])
        except BadAnswerError:
            # OpenAI's own models refuse an echo with log-probabilities; a walk asks for nothing unusual.
            step = None
        return (yield from self._walk(prompt, continuation.encode("utf-8"), step))

    def _walk(self, prompt: str, rest: bytes, step: Step | None) -> Conversation:
        """Asks for one token with the likeliest others, takes the longest that continues the text, and goes on."""
        total = 0.0
        while rest:
            if step is None:
                step = yield self._request(prompt, read_step)
            taken = longest_step(step, rest)
            if taken is None:
                return tables.log_probabilities([float("nan")])
            token, log_probability = taken
            total += log_probability
            prompt, rest, step = prompt + token.decode("utf-8"), rest[len(token) :], None
        answers: Answers = tables.log_probabilities([total])
        return answers

    def _request(
        self,
        prompt: str,
        read: Callable[[bytes], object],
        *,
        echo: bool | None = None,
        prompt_logprobs: int | None = None,
    ) -> Request:
        body = self._body(prompt, 1) | given(logprobs=self.top, echo=echo, prompt_logprobs=prompt_logprobs)
        return Request("/completions", encode(body), read, units([Probe(prompt.encode("utf-8"), "text/plain")]) + 1)

    def _body(self, prompt: str, most: int) -> dict[str, object]:
        # Some servers take their own sampling defaults from the model's repository unless both are stated.
        return {"model": self.model, "prompt": prompt, "max_tokens": most, "temperature": 0, "top_p": 1}


def make_completions(url: str, model: str | None, options: Mapping[str, str]) -> Completions:
    """Binds the options `score` (see `Completions`), `top` (tokens a step) and `max_tokens` (a text's).

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("openai-completions", options, NAMES)
    return Completions(
        named_model("openai-completions", model),
        choice(known, "score", ("auto", "echo", "prompt_logprobs", "walk", "first"), "auto"),
        integer(known, "top", 1, 1000) or USUAL_TOP,
        integer(known, "max_tokens", 1, 4096) or USUAL_TOKENS,
        known,
    )


def read_text(raw: bytes) -> str | None:
    """Reads the generated text of the only choice.

    Raises:
        BadAnswerError: there is no such choice.
    """
    return text(first_choice(raw).get("text"))
