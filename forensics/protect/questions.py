"""Which requests ask for embeddings, and what they ask: routes, texts and the options that change a vector."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from forensics.canonical import sha256
from forensics.protect.marking import Form

Kind = Literal["embedding", "unmarkable", "other"]

_CUT = re.compile("[;?#]")

_NOT_EMBEDDING = ("GET", "HEAD", "OPTIONS")

_TEI = ("", "embed", "embed_all", "embed_sparse", "similarity", "rerank", "predict")

_UNMARKABLE = (
    *("embed_all", "embed_sparse", "similarity", "vertex", "invocations", "embedding", "pooling", "batches"),
    *("score", "rerank", "infer", "encode"),
)
_UNMARKABLE_PATHS = ("/", "/api/embed", "/api/embeddings", "/v1/embed", "/v2/embed")
"""Last segments and whole paths of routes of common servers that give vectors, or what follows from them, in a form
that is not marked here."""

_NO_CHANGE = frozenset(["encoding_format", "user", "safety_identifier", "metadata", "priority", "request_id"])
"""Options that say who asks or how the answer is written, and leave the vector as it is."""

_INPUTS = frozenset(
    [
        *("input", "inputs", "text", "texts", "content", "contents", "message", "messages", "prompt", "prompts"),
        *("query", "queries", "document", "documents", "passage", "passages", "sentence", "sentences", "instances"),
    ]
)
"""Names under which lenient servers look for texts; beside the route's own name another server could read those."""

_NUMBER_TYPES = {"embed_dtype": "float32", "output_dtype": "float", "endianness": "little"}
"""Options that ask for another number type than float32, with the value that does not."""


@dataclass(frozen=True)
class Route:
    """Where a request goes.

    Attributes:
        form: shape of the route's bodies; for other routes, shape of an error.
        names_vectors: whether the path is that of a route that gives vectors, whatever the method.
    """

    kind: Kind
    form: Form = "openai"
    names_vectors: bool = False

    @property
    def bodiless(self) -> bool:
        """Whether a body would be one that is not read here, but by a lenient upstream."""
        return self.names_vectors and self.kind == "other"


@dataclass(frozen=True)
class Question:
    """What a request to an embedding route asks.

    Attributes:
        shape: `texts`, `tokens` (numbers of tokens), `quantised` (another number type than float32), `rivals` (texts
            under another name as well) or `unknown`.
        texts: in order, where the shape is `texts`.
        options: the rest of the body.
    """

    form: Form
    shape: Literal["texts", "tokens", "quantised", "rivals", "unknown"]
    texts: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def target_key(self, path: str) -> str:
        """Returns what the target vector depends on: the path with its query, and every option that may count."""
        options = {name: value for name, value in self.options.items() if name not in _NO_CHANGE}
        return sha256(json.dumps([path, options], sort_keys=True).encode())

    def target_body(self, text: str) -> bytes:
        """Returns the body that asks for the embedding of the target text under the same options."""
        options = {name: value for name, value in self.options.items() if name not in _NO_CHANGE}
        if self.form == "openai":
            return json.dumps({**options, "input": [text], "encoding_format": "float"}).encode()
        return json.dumps({**options, "inputs": [text]}).encode()


def find_route(method: str, raw_path: str) -> Route:
    """Returns what a method and a path (as they came, with query) ask for.

    The path is compared as a lenient server would: decoded (once more where it was encoded twice), in lower case,
    without empty, `.` and `..` segments.
    """
    segments: list[str] = []
    for segment in unquote(unquote(raw_path.split("?", 1)[0])).replace("\\", "/").split("/"):
        name = _CUT.split(segment, maxsplit=1)[0].strip(" \t\r\n\0").lower()
        if name == "..":
            del segments[-1:]
        elif name not in ("", "."):
            segments.append(name)
    path = "/" + "/".join(segments)
    last = segments[-1] if segments else ""
    form: Form = "tei" if last in _TEI else "openai"
    if path in _UNMARKABLE_PATHS or last in _UNMARKABLE:
        kind: Kind = "unmarkable"
    else:
        kind = "embedding" if last in ("embeddings", "embed") else "other"
    return Route("other" if method in _NOT_EMBEDDING else kind, form, kind != "other")


def asks_in_query(raw_path: str) -> bool:
    """Says whether the query of a path names an input, which a lenient server could read instead of the body."""
    query = raw_path.partition("?")[2].replace(";", "&")
    return any(_INPUTS.intersection(name.strip().casefold().split("[", 1)) for name, _ in parse_qsl(query, True))


def read_question(form: Form, body: bytes) -> Question:
    """Reads a request's body; what cannot be read without doubt has the shape `unknown`.

    Names that repeat, or differ only in case, are a doubt: another reader could take another one.
    """
    name = "input" if form == "openai" else "inputs"
    try:
        found: Any = json.loads(body.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return Question(form, "unknown")
    if not isinstance(found, dict) or name not in found:
        return Question(form, "unknown")
    options = {key: value for key, value in found.items() if key != name}
    if any(key.casefold() in _INPUTS and value is not None for key, value in options.items()):
        return Question(form, "rivals", options=options)
    if form == "openai" and options.get("encoding_format") not in (None, "float", "base64"):
        return Question(form, "quantised", options=options)
    if any(options.get(key) not in (None, plain) for key, plain in _NUMBER_TYPES.items()):
        return Question(form, "quantised", options=options)
    asked = found[name]
    if isinstance(asked, str):
        return _texts(form, [asked], options)
    if not isinstance(asked, list) or not asked:
        return Question(form, "unknown")
    if all(isinstance(item, str) for item in asked):
        return _texts(form, asked, options)
    rows = asked if isinstance(asked[0], list) else [asked]
    if all(isinstance(row, list) and row and all(type(item) is int for item in row) for row in rows):
        return Question(form, "tokens", options=options)
    return Question(form, "unknown")


def _texts(form: Form, texts: Sequence[str], options: Mapping[str, Any]) -> Question:
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair: servers differ on what it means
        return Question(form, "unknown")
    return Question(form, "texts", tuple(texts), options)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name.casefold() for name, _ in pairs}) != len(pairs) or any(
        name.casefold() in ("input", "inputs", "encoding_format") and name != name.casefold() for name, _ in pairs
    ):
        raise ValueError("ambiguous names")
    return dict(pairs)
