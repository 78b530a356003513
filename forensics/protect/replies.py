"""Answers of the proxy's own, in the shape that clients of the route expect, and what is done to the upstream's."""

import json
import zlib
from dataclasses import replace
from http import HTTPStatus

from forensics.protect.marking import Form
from forensics.protect.spans import MalformedError
from forensics.protect.upstream import Headers, Reply

_DIGESTS = ("etag", "content-md5", "digest", "content-digest", "repr-digest", "signature", "signature-input")
"""Headers that would no longer fit a marked body; they go from unmarked ones too, so that nothing tells them apart."""

_JSON_TYPES = ("", "application/json", "text/json", "text/plain", "application/octet-stream")

_TEI_TYPES = {
    413: "Validation",
    400: "Validation",
    415: "Validation",
    429: "Overloaded",
    502: "Backend",
    504: "Backend",
}


class RefusedError(Exception):
    """A request that the proxy answers itself.

    Attributes:
        status: 400, 408, 413, 415 or 429.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def error_reply(form: Form, status: int, sentence: str) -> Reply:
    """Returns an error as the service behind the route would shape it."""
    if form == "tei":
        body: object = {"error": sentence, "error_type": _TEI_TYPES.get(status, "Backend")}
    else:
        kind = "invalid_request_error" if status < 500 else "server_error"
        kind = "rate_limit_error" if status == 429 else kind
        body = {"error": {"message": sentence, "type": kind, "param": None, "code": None}}
    return Reply(
        status, HTTPStatus(status).phrase, [("Content-Type", "application/json")], json.dumps(body).encode("utf-8")
    )


def without_digests(reply: Reply) -> Reply:
    """Returns an answer without headers that are computed from its body."""
    return replace(reply, headers=[(name, value) for name, value in reply.headers if name.lower() not in _DIGESTS])


def encoding(headers: Headers) -> str:
    """Returns the content encoding in lower case, `identity` where there is none."""
    values = [value.strip().lower() for name, value in headers if name.lower() == "content-encoding" and value.strip()]
    return ", ".join(values) or "identity"


def decode(body: bytes, coding: str, largest: int) -> bytes:
    """Returns a body without its content encoding.

    Raises:
        MalformedError: the encoding is neither gzip nor deflate, the body is damaged or too large.
    """
    if coding == "identity":
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise MalformedError("the body is compressed in another way than was asked for")
    reader = zlib.decompressobj(31 if "gzip" in coding else zlib.MAX_WBITS)
    try:
        plain = reader.decompress(body, largest)
    except zlib.error as error:
        raise MalformedError("the compressed body is damaged") from error
    if not reader.eof or reader.unconsumed_tail or reader.unused_data:
        raise MalformedError("the compressed body is damaged or too large")
    return plain


def decoded(reply: Reply, largest: int) -> Reply:
    """Returns an answer without content encoding.

    All answers with vectors leave so: packed anew, the marked ones would differ from those that are not marked.

    Raises:
        MalformedError: as `decode`.
    """
    coding = encoding(reply.headers)
    if coding == "identity":
        return reply
    headers = [(name, value) for name, value in reply.headers if name.lower() != "content-encoding"]
    return replace(reply, headers=headers, body=decode(reply.body, coding, largest))


def unread_content_type(headers: Headers) -> bool:
    """Says whether the content type of a request could make a server read other texts than UTF-8 JSON says.

    None at all, JSON, plain text and raw bytes are read as JSON by those servers that take them; forms and other
    formats, another charset, and more than one type or charset are not.
    """
    types = [value for name, value in headers if name.lower() == "content-type"]
    if not types:
        return False
    kind, *options = [part.strip().lower() for part in types[0].split(";")]
    plain = kind in _JSON_TYPES or (kind.startswith("application/") and kind.endswith("+json") and "," not in kind)
    pairs = [option.partition("=") for option in options if option]
    names = [name.strip() for name, _, _ in pairs]
    charsets = [value.strip().strip('"') for name, _, value in pairs if name.strip().startswith("charset")]
    return (
        len(types) > 1
        or not plain
        or len(set(names)) != len(names)
        or len(charsets) > 1
        or any(charset not in ("utf-8", "utf8") for charset in charsets)
    )
