"""An API that a file describes: a request template with placeholders, and JMESPath expressions for the answer."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from forensics.canonical import sha256
from forensics.errors import UsageError
from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.remote import tables
from forensics.suspects.remote.adapter import Adapter, BadAnswerError, Conversation, Request
from forensics.suspects.remote.description import Description, parse_file, read_file, repeats
from forensics.suspects.remote.parsing import items, number, parse_body, text, vector
from forensics.suspects.remote.questions import encode, text_of, units
from forensics.suspects.remote.uri import parse_uri

_EVALUATION = (JMESPathError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)


@dataclass(frozen=True)
class GenericAdapter:
    """Speaks what its description says; expressions see nothing but a bounded, parsed body."""

    description: Description
    options: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "json"

    @property
    def kind(self) -> AnswerKind | None:
        """What the description says that the answers are."""
        answer = self.description.answer
        usual = AnswerKind.VECTORS if answer.vector else AnswerKind.PROBABILITIES if answer.scores else None
        usual = AnswerKind.LABELS if answer.label else usual
        return AnswerKind(self.description.kind or usual or AnswerKind.TEXT)

    @property
    def limit(self) -> int:
        """Most probes a request."""
        return self.description.batch

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation: one request for all probes."""
        if any(probe.operation != "answer" for probe in probes):
            raise UsageError("json cannot score continuations.", "Name an openai-completions or openai-chat suspect.")
        body = _filled(self.description.request, probes, self.description.model)
        return self._ask(
            Request(
                self.description.path,
                encode(body),
                lambda raw: self._read(raw, len(probes)),
                units(probes),
                headers=dict(self.description.headers),
            )
        )

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the header that the description names."""
        chosen = self.description.authorization
        return {chosen.header: chosen.prefix + secret}

    def _ask(self, request: Request) -> Conversation:
        answers: Answers = yield request
        return answers

    def _read(self, raw: bytes, count: int) -> Answers:
        answer, names = self.description.answer, self.description.names
        body = parse_body(raw)
        rows = items(_found(answer.rows, body), count, "what answer.rows finds") if answer.rows else [body]
        if len(rows) != count:
            raise BadAnswerError(f"the answer is one row for {count} probes")
        rows = _ordered(rows, answer.index) if answer.index else rows
        kind = self.kind or AnswerKind.VECTORS
        if answer.scores and answer.labels:
            pairs = [(_found(answer.labels, row), _found(answer.scores, row)) for row in rows]
            _refuse_nothing([scores for _, scores in pairs])
            return tables.scores([_scores(*pair) for pair in pairs], kind)
        found = [_found(answer.vector or answer.label or answer.text or "", row) for row in rows]
        _refuse_nothing(found)
        if answer.vector:
            return tables.vectors([vector(each) for each in found], kind, names)
        if answer.label:
            return tables.classes([_class(each) for each in found], names)
        return tables.texts([text(each) for each in found])


def read_description(path: Path) -> tuple[str, str | None, Adapter]:
    """Reads the file of `json:FILE` and returns the base URL, the model's name and the adapter.

    Raises:
        UsageError: the file cannot be read or describes no API.
    """
    description, raw = read_file(path)
    return _described(description, raw)


def parse_description(name: str, raw: bytes) -> tuple[str, str | None, Adapter]:
    """Reads the bytes of such a file; its name tells JSON from TOML. See `read_description`.

    Raises:
        UsageError: the bytes describe no API.
    """
    return _described(parse_file(name, raw), raw)


def _described(description: Description, raw: bytes) -> tuple[str, str | None, Adapter]:
    adapter = GenericAdapter(description, {"description": sha256(raw)})
    return parse_uri(f"json+{description.url}").url, description.model, adapter


def _filled(template: Any, probes: Sequence[Probe], model: str | None) -> Any:
    """Returns a template with values in the place of placeholders; lists of one element are repeated once a probe."""
    if repeats(template):
        return [_filled_one(template[0], probe, model) for probe in probes]
    if isinstance(template, dict):
        return {name: _filled(value, probes, model) for name, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, probes, model) for value in template]
    return _filled_one(template, probes[0], model)


def _filled_one(template: Any, probe: Probe, model: str | None) -> Any:
    if isinstance(template, dict):
        return {name: _filled_one(value, probe, model) for name, value in template.items()}
    if isinstance(template, list):
        return [_filled_one(value, probe, model) for value in template]
    if template == "{{text}}":
        return text_of(probe, "json")
    if template == "{{base64}}":
        return base64.b64encode(probe.data).decode("ascii")
    return model if template == "{{model}}" else template


def _found(expression: str, value: Any) -> Any:
    try:
        return jmespath.search(expression, value)
    except _EVALUATION as error:
        raise BadAnswerError("an expression of the description does not apply to the answer") from error


def _refuse_nothing(found: Sequence[Any]) -> None:
    # What JMESPath does not find is null: an error in another shape must not count as an answer without numbers.
    if all(each is None for each in found):
        raise BadAnswerError("the description's expressions find nothing in the answer")


def _ordered(rows: list[Any], index: str) -> list[Any]:
    positions = [_found(index, row) for row in rows]
    if any(type(each) is not int for each in positions) or sorted(positions) != list(range(len(rows))):
        raise BadAnswerError("what answer.index finds is not 0 to n - 1, each once")
    return [row for _, row in sorted(zip(positions, rows, strict=True), key=lambda pair: int(pair[0]))]


def _scores(labels: Any, scores: Any) -> tables.Scores | None:
    if not isinstance(labels, list) or not isinstance(scores, list) or len(labels) != len(scores) or not labels:
        return None
    names = [text(label, tables.MAX_LABEL) for label in labels]
    if None in names or len(set(names)) != len(names) or len(names) > tables.MAX_LABELS:
        return None
    return {name or "": number(score) for name, score in zip(names, scores, strict=True)}


def _class(value: Any) -> str | int | None:
    return value if type(value) is int else text(value, tables.MAX_LABEL)
