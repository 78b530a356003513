"""Vectors as they stand in a body, and marked vectors printed in the manner of the body they go into.

A marked vector must not be known by its digits. So it is printed as the service prints: doubles that hold a float32,
shortest decimals of a float32, doubles of full length, or a fixed number of decimals or digits; with the same white
space. Values of fewer than nine fixed digits are rounded as the service rounds; all others read back as exactly the
float32 values that were marked.
"""

import base64
import binascii
import json

import numpy as np
from numpy.typing import NDArray

from forensics.protect.printing import best_manner, quick_manner
from forensics.protect.spans import MalformedError
from forensics.records import FloatArray

Vector = NDArray[np.float32]


def read_numbers(text: bytes) -> FloatArray:
    """Returns the numbers of a flat JSON list as float64 (d,).

    Raises:
        MalformedError: they are no finite numbers within the range of a float32, or whole numbers of a quantised form.
    """
    try:
        values = np.array(json.loads(text), dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise MalformedError("a vector is no list of numbers") from error
    if not np.all(np.abs(values) <= np.finfo(np.float32).max):
        raise MalformedError("a vector holds a number that is not finite")
    if b"." not in text and np.abs(values).max(initial=0.0) > 1.0:
        raise MalformedError("a vector is quantised")
    return values


def print_like(text: bytes, values: FloatArray, vector: Vector) -> bytes:
    """Prints a marked vector as its own list was printed.

    Args:
        text: the list as it came, brackets included.
        values: its numbers, float64 (d,).
        vector: what goes in its place, float32 (d,).
    """
    first, _, rest = text[1:-1].partition(b",")
    lead = first[: len(first) - len(first.lstrip())].decode()
    comma = "," + rest[: len(rest) - len(rest.lstrip())].decode()
    tail = text[len(text[:-1].rstrip()) : -1].decode()
    words = _inner(text)
    show = quick_manner(words, values) or best_manner(words, values)[0].show
    return f"[{lead}{comma.join(show(vector))}{tail}]".encode()


def read_base64(text: bytes) -> Vector:
    """Returns the little-endian float32 values (d,) of a JSON string, quotes included.

    Raises:
        MalformedError: it is no base64 of finite float32 values.
    """
    try:
        raw = base64.b64decode(json.loads(text), validate=True)
    except (ValueError, binascii.Error) as error:
        raise MalformedError("a vector is no base64") from error
    if not raw or len(raw) % 4:
        raise MalformedError("a vector is no row of float32 values")
    vector = np.frombuffer(raw, dtype="<f4").astype(np.float32)
    if not np.isfinite(vector).all():
        raise MalformedError("a vector holds a number that is not finite")
    return vector


def print_base64(text: bytes, vector: Vector) -> bytes:
    """Prints a vector as a JSON string of base64; a slash is escaped where the original escapes it."""
    coded = base64.b64encode(vector.astype("<f4").tobytes())
    return b'"' + (coded.replace(b"/", b"\\/") if b"\\/" in text else coded) + b'"'


def fits(text: bytes, values: FloatArray) -> bool:
    """Says whether a list can be printed again exactly as it came, so that others can be printed in its manner.

    Args:
        text: the list as it came, brackets included.
        values: its numbers, float64 (d,).
    """
    return best_manner(_inner(text), values)[1]


def _inner(text: bytes) -> list[str]:
    return [word.strip() for word in text[1:-1].decode().split(",")]
