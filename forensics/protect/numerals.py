"""Vectors as they stand in a body, and marked vectors printed in the manner of the body they go into.

A marked vector must not be known by its digits. So it is printed as the service prints: doubles that hold a float32,
shortest decimals of a float32, doubles of full length, or a fixed number of decimals; with the same white space.
All but the last read back as exactly the float32 values that were marked.
"""

import base64
import binascii
import json

import numpy as np
from numpy.typing import NDArray

from forensics.protect.spans import MalformedError
from forensics.records import FloatArray

Vector = NDArray[np.float32]

_SAMPLE = 64
"""Numbers looked at to tell shortest decimals of a float32 (at most nine digits) from doubles."""

_FIXED_LEAST = 32
"""A shorter vector is never taken for one of a fixed number of decimals."""

_FIXED_SHARE = 0.8
"""Share of numbers with equally many decimals from which on the number of decimals counts as fixed: one in ten ends
in a zero that is left out."""


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
    return f"[{lead}{comma.join(_words(text, values, vector))}{tail}]".encode()


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


def _words(text: bytes, values: FloatArray, vector: Vector) -> list[str]:
    rounded = values.astype(np.float32)
    if np.array_equal(rounded.astype(np.float64), values):
        return list(map(repr, vector.tolist()))
    inner = [word.strip() for word in text[1:-1].split(b",")]
    places = _fixed_places(inner)
    if places is not None:
        if any(b"e" in word.lower() for word in inner):
            return [repr(round(value, places)) for value in vector.tolist()]
        words = [f"{value:.{places}f}" for value in vector.tolist()]
        padded = all(_places(word) == places for word in inner)
        return words if padded else [_bare(word) for word in words]
    if max(map(_digits, inner[:_SAMPLE])) <= 9:
        return _shortest(vector)
    # The last bits of each double are kept, counted in steps of its float32, so that they look like the service's own.
    with np.errstate(over="ignore"):
        steps = (values - rounded) / np.abs(np.spacing(rounded)).astype(np.float64)
        doubles = vector + steps * np.abs(np.spacing(vector)).astype(np.float64)
        exact = doubles.astype(np.float32) == vector
    return [repr(value) for value in np.where(exact, doubles, vector).tolist()]


def _fixed_places(inner: list[bytes]) -> int | None:
    """Returns how many decimals a service rounds to, or None where it does not."""
    if len(inner) < _FIXED_LEAST:
        return None
    places = [_places(word) for word in inner]
    most = max(places)
    return most if most <= 12 and places.count(most) >= _FIXED_SHARE * len(places) else None


def _places(word: bytes) -> int:
    """Returns the place of a number's last digit behind the point."""
    mantissa, _, exponent = word.lower().partition(b"e")
    return len(mantissa.partition(b".")[2]) - int(exponent or 0)


def _bare(word: str) -> str:
    bare = word.rstrip("0")
    return bare + "0" if bare.endswith(".") else bare


def _digits(word: bytes) -> int:
    mantissa = word.lower().split(b"e")[0].lstrip(b"-").replace(b".", b"")
    return len(mantissa.strip(b"0"))


def _shortest(vector: Vector) -> list[str]:
    """Shortest decimals; an exponent only below a millionth, as Rust, Go and JavaScript write it."""
    words: list[str] = vector.astype("U32").tolist()
    exact = np.array([float(word) for word in words]).astype(np.float32) == vector
    for index, word in enumerate(words):
        if not exact[index]:
            words[index] = repr(float(vector[index]))
        elif "e" in word:
            value = vector[index]
            if 1e-6 <= abs(float(value)) < 1.0:
                words[index] = np.format_float_positional(value, unique=True)
            else:
                words[index] = np.format_float_scientific(value, unique=True, trim="-", exp_digits=1)
    return words
