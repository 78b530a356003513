"""Answers of the proxy's own, in the shape that clients of the route expect, and what is done to the upstream's."""

import gzip
import json
import zlib
from dataclasses import replace
from http import HTTPStatus

from forensics.protect.marking import Form
from forensics.protect.spans import MalformedError
from forensics.protect.upstream import Headers, Reply

_DIGESTS = ("etag", "content-md5", "digest", "content-digest", "repr-digest", "signature", "signature-input")
"""Headers that would no longer fit a marked body; they go from unmarked ones too, so that nothing tells them apart."""

_TEI_TYPES = {413: "Validation", 400: "Validation", 502: "Backend", 504: "Backend"}


class RefusedError(Exception):
    """A request that the proxy answers itself.

    Attributes:
        status: 400, 408, 413 or 415.
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


def encode(body: bytes, coding: str) -> bytes:
    """Returns a body under the content encoding that it came with."""
    if coding == "identity":
        return body
    return gzip.compress(body, 6, mtime=0) if "gzip" in coding else zlib.compress(body)
