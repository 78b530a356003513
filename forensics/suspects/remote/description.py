"""The file that describes an API without an adapter of its own: TOML or JSON, checked before anything is sent."""

import json
import math
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from forensics.canonical import parse_json
from forensics.errors import UsageError
from forensics.suspects.remote.parsing import printable
from forensics.suspects.remote.uri import parse_uri

PLACEHOLDERS = ("{{text}}", "{{base64}}", "{{model}}")
_EACH = ("{{text}}", "{{base64}}")
_MAX_BYTES, _MAX_DEPTH = 1 << 20, 32
_NEXT = "The file format is in docs/remote.md."
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_SECRET = re.compile(r"key|token|secret|auth|cookie|password|signature", re.IGNORECASE)
_RESERVED = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
)


def _compiled(expression: str) -> str:
    try:
        jmespath.compile(expression)
    except (JMESPathError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"'{expression[:60]}' is no JMESPath expression") from error
    return expression


Expression = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_compiled)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AuthorizationField(_Strict):
    """The header that carries the API key; the key itself comes from the examiner's environment."""

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "Authorization"
    prefix: Annotated[str, Field(max_length=64, pattern=r"^[ -~]*$")] = "Bearer "


class AnswerPaths(_Strict):
    """JMESPath expressions: `rows` on the body, the others on each row.

    Attributes:
        rows: a list with one row a probe; without it the body is the only row.
        index: position of a row's probe; without it rows come in the order of the probes.
        vector: numbers, or the base64 of little-endian float32.
        scores: numbers, one for each of `labels`.
        labels: class names of `scores`.
        label: one class name or class number.
        text: a text.
    """

    rows: Expression | None = None
    index: Expression | None = None
    vector: Expression | None = None
    scores: Expression | None = None
    labels: Expression | None = None
    label: Expression | None = None
    text: Expression | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> "AnswerPaths":
        if sum(each is not None for each in (self.vector, self.scores, self.label, self.text)) != 1:
            raise ValueError("exactly one of vector, scores, label and text is needed")
        if (self.scores is None) != (self.labels is None):
            raise ValueError("scores and labels belong together")
        if self.index is not None and self.rows is None:
            raise ValueError("index needs rows")
        return self


class Description(_Strict):
    """One API.

    Attributes:
        url: base URL.
        path: behind the base URL, with its leading slash.
        model: name that `{{model}}` stands for.
        batch: most probes a request.
        kind: what the numbers of `vector` or `scores` are; found from the paths where it is left away.
        names: class names in column order (of a `vector` of probabilities or logits, or of class numbers).
        request: the body; a placeholder is a whole string, a list of one element that holds one is repeated a probe.
        headers: further headers; secrets are refused.
    """

    url: Annotated[str, Field(max_length=2000)]
    path: Annotated[str, Field(max_length=2000, pattern=r"^(/[!-~]*)?$")] = ""
    model: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    batch: Annotated[int, Field(ge=1, le=4096)] = 1
    kind: Literal["vectors", "probabilities", "logits", "labels", "text"] | None = None
    names: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=100_000)] = []
    request: dict[str, Any]
    headers: dict[str, Annotated[str, Field(max_length=1000, pattern=r"^[ -~]*$")]] = {}
    authorization: AuthorizationField = AuthorizationField()
    answer: AnswerPaths

    @model_validator(mode="after")
    def _consistent(self) -> "Description":
        fitting = {"vector": ("vectors", "probabilities", "logits"), "scores": ("probabilities", "logits")}
        fitting |= {"label": ("labels",), "text": ("text",)}
        given = next(name for name in fitting if getattr(self.answer, name) is not None)
        if self.kind is not None and self.kind not in fitting[given]:
            raise ValueError(f"kind '{self.kind}' does not go with answer.{given}")
        if len(set(self.names)) != len(self.names):
            raise ValueError("names holds a name twice")
        for name in self.headers:
            if not _HEADER.fullmatch(name) or name.lower() in _RESERVED:
                raise ValueError(f"'{name[:64]}' is no header that may be set")
            if _SECRET.search(name):
                raise ValueError(f"header '{name}' looks like a secret, which belongs to [authorization]")
        if self.batch > 1 and self.answer.rows is None:
            raise ValueError("a batch needs answer.rows")
        _check_template(self)
        return self


def read_file(path: Path) -> tuple[Description, bytes]:
    """Reads a description: JSON where the name ends in `.json`, TOML otherwise; returns it with the file's bytes.

    Raises:
        UsageError: no such file, or no valid description.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"The description {path} cannot be read.", "Name a TOML or JSON file: json:FILE.") from error
    return parse_file(str(path), raw), raw


def parse_file(name: str, raw: bytes) -> Description:
    """Reads the bytes of a description's file; see `read_file`.

    Raises:
        UsageError: no valid description.
    """
    try:
        if len(raw) > _MAX_BYTES:
            raise ValueError("it is larger than 1 MiB")
        body = parse_json(raw) if name.endswith(".json") else tomllib.loads(raw.decode("utf-8"))
        description = Description.model_validate(body)
        if parse_uri(f"json+{description.url}").options or "#" in description.url:
            raise ValueError("url has a query or a fragment")
    except ValidationError as error:
        first = error.errors()[0]
        reason = printable(f"{'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}")
        raise UsageError(f"The description {name} is wrong: {reason}.", _NEXT) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The description {name} is wrong: {printable(str(error))}.", _NEXT) from error
    return description


def holds_probe(template: Any) -> bool:
    """Whether a template holds a placeholder for a probe."""
    if isinstance(template, dict):
        return any(holds_probe(value) for value in template.values())
    if isinstance(template, list):
        return any(holds_probe(value) for value in template)
    return template in _EACH


def repeats(template: Any) -> bool:
    """Whether a template's element is made once a probe: a list of one element that holds a placeholder."""
    return isinstance(template, list) and len(template) == 1 and holds_probe(template[0])


def _check_template(description: Description) -> None:
    found = list(_leaves(description.request, _MAX_DEPTH))
    for leaf in found:
        if isinstance(leaf, str) and "{{" in leaf and leaf not in PLACEHOLDERS:
            raise ValueError(f"'{leaf[:40]}' is no placeholder; one is a whole string: {', '.join(PLACEHOLDERS)}")
    held = {leaf for leaf in found if isinstance(leaf, str) and leaf in _EACH}
    if len(held) != 1:
        raise ValueError("request needs either {{text}} or {{base64}}")
    if "{{model}}" in found and description.model is None:
        raise ValueError("request holds {{model}}, but no model is named")
    if description.batch > 1 and _outside(description.request):
        raise ValueError("a batch needs every placeholder in a list of one element, which is repeated")
    try:
        json.dumps(description.request, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError("request holds something that JSON does not have") from error


def _leaves(value: Any, depth: int) -> Any:
    if depth < 0:
        raise ValueError("request is nested too deep")
    if isinstance(value, dict):
        for name, each in value.items():
            if not isinstance(name, str) or "{{" in name:
                raise ValueError("a name in request holds a placeholder")
            yield from _leaves(each, depth - 1)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, depth - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("request holds a number that is not finite")
    else:
        yield value


def _outside(template: Any) -> bool:
    """Whether a probe's placeholder lies in no list that is repeated."""
    if repeats(template):
        return False
    if isinstance(template, dict):
        return any(_outside(value) for value in template.values())
    if isinstance(template, list):
        return any(_outside(value) for value in template)
    return template in _EACH
