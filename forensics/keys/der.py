"""DER written byte by byte, so that a parsed structure can be rebuilt and compared."""

from asn1crypto import core, parser

SEQUENCE, SET, INTEGER, BIT_STRING, OCTET_STRING = 0x30, 0x31, 0x02, 0x03, 0x04
CONTEXT_0, CONTEXT_1 = 0xA0, 0xA1
NULL = b"\x05\x00"


def tlv(tag: int, *parts: bytes) -> bytes:
    """Returns the DER encoding of one value: tag, shortest definite length, the parts in order."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes(-(-len(body).bit_length() // 8), "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def oid(dotted: str) -> bytes:
    """Returns the DER encoding of an object identifier."""
    encoded: bytes = core.ObjectIdentifier(dotted).dump()
    return encoded


def algorithm(dotted: str, *, null: bool) -> bytes:
    """Returns an AlgorithmIdentifier whose parameters are NULL or absent."""
    return tlv(SEQUENCE, oid(dotted), NULL if null else b"")


def inside(encoded: bytes) -> bytes:
    """Returns the content of one DER value, as it stands there.

    Not by `dump()` of a parsed value: asn1crypto takes a length that ends in 0x80 for an indefinite one, encodes such
    a value anew and sorts what it calls a set.

    Raises:
        ValueError: the bytes are not exactly one value.
    """
    content: bytes = parser.parse(encoded, strict=True)[4]
    return content


def split(encoded: bytes) -> list[bytes]:
    """Returns DER values that stand one behind the other, each as it stands there.

    Raises:
        ValueError: the last one is cut off.
    """
    found = []
    while encoded:
        length = parser.peek(encoded)
        found.append(encoded[:length])
        encoded = encoded[length:]
    return found


def unpad(data: bytes) -> bytes:
    """Returns the one DER value at the start of a zero-padded field, such as /Contents of a PDF signature.

    Raises:
        ValueError: no DER value starts there, it is longer than the field, or the padding is not all zeros.
    """
    if len(data) < 2:
        raise ValueError("the field is too short for a DER value")
    if data[1] < 0x80:
        end = 2 + data[1]
    else:
        width = data[1] & 0x7F
        end = 2 + width + int.from_bytes(data[2 : 2 + width], "big")
    if end > len(data) or any(data[end:]):
        raise ValueError("the padding behind the DER value is not all zeros")
    return data[:end]
