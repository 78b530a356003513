"""Hugging Face's inference API: what a model is, feature extractor or classifier, is learnt from the body."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from forensics.errors import UsageError
from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.remote import tables
from forensics.suspects.remote.adapter import BadAnswerError, Conversation, Request
from forensics.suspects.remote.parsing import parse_body, vector
from forensics.suspects.remote.questions import (
    bearer,
    choice,
    encode,
    given,
    integer,
    known_options,
    named_model,
    texts_of,
    truth,
    units,
)

NAMES = ("function_to_apply", "normalize", "pipeline", "top_k", "truncate")
FUNCTIONS = ("sigmoid", "softmax", "none")


@dataclass(frozen=True)
class Inference:
    """One probe a conversation; parameters of a classifier are sent only where the examiner names them."""

    model: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    extraction: Mapping[str, Any] = field(default_factory=dict)
    pipeline: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    limit: int = 1
    scheme: str = "hf"
    kind: AnswerKind | None = None

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation of one probe: a text as JSON, an image as its bytes."""
        if len(probes) != 1:
            raise UsageError("hf takes one probe a conversation.")
        pipeline = f"/pipeline/{self.pipeline}" if self.pipeline else ""
        path = f"/models/{quote(self.model, safe='/')}{pipeline}"
        if probes[0].media_type == "image/png" and probes[0].operation == "answer":
            if self.parameters or self.extraction:
                raise UsageError("Images go to hf as bytes, without parameters.", "Leave the options away.")
            return self._ask(Request(path, probes[0].data, read_body, units(probes), "image/png"))
        body: dict[str, Any] = {"inputs": texts_of(probes, self.scheme)[0], **self.extraction}
        if self.parameters:
            body["parameters"] = dict(self.parameters)
        return self._ask(Request(path, encode(body), read_body, units(probes)))

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)

    def _ask(self, request: Request) -> Conversation:
        row: Any = yield request
        if isinstance(row, dict):
            raw = self.parameters.get("function_to_apply") == "none"
            return tables.scores([row], AnswerKind.LOGITS if raw else AnswerKind.PROBABILITIES)
        answers: Answers = tables.vectors([row])
        return answers


def make_inference(url: str, model: str | None, options: Mapping[str, str]) -> Inference:
    """Binds `top_k` and `function_to_apply` (classifiers), `normalize` and `truncate` (vectors), and `pipeline`.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("hf", options, NAMES)
    function = choice(known, "function_to_apply", FUNCTIONS, "") if "function_to_apply" in known else None
    return Inference(
        named_model("hf", model),
        given(top_k=integer(known, "top_k", 1, 100_000), function_to_apply=function),
        given(normalize=truth(known, "normalize"), truncate=truth(known, "truncate")),
        choice(known, "pipeline", ("feature-extraction",), "") if "pipeline" in known else None,
        known,
    )


def read_body(raw: bytes) -> Any:
    """Reads one probe's answer: a vector, or scores by label; either may lie in a list of one.

    Raises:
        BadAnswerError: it is neither, or one vector a token.
    """
    body = parse_body(raw)
    if isinstance(body, list) and len(body) == 1 and isinstance(body[0], list):
        body = body[0]
    if not isinstance(body, list) or not body:
        raise BadAnswerError("the answer is neither a vector nor a list of labels and scores")
    if isinstance(body[0], list):
        raise BadAnswerError("the answer is one vector a token, not one a text")
    row = tables.named_scores(body) if isinstance(body[0], dict) else vector(body)
    if row is None:
        raise BadAnswerError("the answer is neither a vector nor a list of labels and scores")
    return row
