"""Reading an answer's body within bounds: stop at a size, and unpack no further than that."""

import zlib
from collections.abc import AsyncIterator

from forensics.suspects.remote.adapter import BadAnswerError

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_STEP = 1 << 16


async def collect(parts: AsyncIterator[bytes], most: int) -> bytes:
    """Joins the parts of a body.

    Raises:
        BadAnswerError: there are more than `most` bytes; no more than that were kept.
    """
    body = bytearray()
    async for part in parts:
        if len(body) + len(part) > most:
            raise BadAnswerError(f"the body is larger than {most} bytes")
        body += part
    return bytes(body)


async def collect_start(parts: AsyncIterator[bytes], most: int) -> tuple[bytes, bool]:
    """Joins the first parts of a body, and tells whether it was cut off at `most` bytes."""
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > most:
            return bytes(body[:most]), True
    return bytes(body), False


def unpack(body: bytes, encoding: str, most: int) -> bytes:
    """Decompresses a body that was compressed although nobody asked for it.

    Args:
        encoding: value of `Content-Encoding`; empty or `identity` for a plain body.
        most: largest number of bytes that may come out.

    Raises:
        BadAnswerError: another encoding, broken data, or more than `most` bytes.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOWS:
        raise BadAnswerError("the body is compressed in a way that was not asked for")
    try:
        return _inflate(body, _WINDOWS[encoding], most)
    except zlib.error:
        if encoding != "deflate":
            raise BadAnswerError("the compressed body is broken") from None
    try:
        return _inflate(body, -zlib.MAX_WBITS, most)  # what many servers call deflate
    except zlib.error as error:
        raise BadAnswerError("the compressed body is broken") from error


def _inflate(body: bytes, window: int, most: int) -> bytes:
    decoder = zlib.decompressobj(window)
    result = bytearray()
    rest = body
    while rest and not decoder.eof:
        result += decoder.decompress(rest, _STEP)
        if len(result) > most:
            raise BadAnswerError(f"the body is larger than {most} bytes when unpacked")
        rest = decoder.unconsumed_tail
    result += decoder.flush(_STEP)
    if not decoder.eof or len(result) > most:
        raise BadAnswerError("the compressed body is broken")
    return bytes(result)
