"""Reading of answers' bodies: strict, bounded JSON, errors in disguise, numbers; a hostile body is refused, no more."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from forensics.records import FloatArray
from forensics.suspects.remote.adapter import BadAnswerError

MAX_DEPTH = 32
MAX_WIDTH = 1 << 17
MAX_TEXT = 1 << 16
_SENTENCE = 160
_INTEGER_DIGITS = 18
_LONGEST = 38
_NUMBERS = frozenset({bytes, float, int})


@dataclass(frozen=True)
class Written:
    """A row of numbers as the texts that a body has for them, each of which can stand in a transcript as it is.

    Attributes:
        texts: the texts with `","` in between.
        width: how many there are.
    """

    texts: bytes
    width: int

    def __len__(self) -> int:
        return self.width

    @property
    def values(self) -> list[float]:
        """The numbers."""
        return list(map(float, self.texts.split(b'","')))


Row: TypeAlias = FloatArray | Written


def parse_body(raw: bytes, *, written: bool = False) -> Any:
    """Parses a body: UTF-8 JSON without duplicate keys, at most 32 deep; NaN and infinities become float values.

    Args:
        written: numbers with a fraction or an exponent become their text (bytes), for `vector`.

    Raises:
        BadAnswerError: the body is no such JSON, or says that it is an error.
    """
    if not raw.strip():
        raise BadAnswerError("the body is empty")
    try:
        body = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=float,
            parse_int=_integer,
            parse_float=str.encode if written else None,
        )
    except (ValueError, RecursionError) as error:
        raise BadAnswerError(f"the body is no JSON: {printable(raw[:_SENTENCE].decode('utf-8', 'replace'))}") from error
    _bound_depth(body)
    if isinstance(body, dict):
        refuse_error(body)
    return body


def refuse_error(body: dict[str, Any]) -> None:
    """Refuses an object that is an error, whatever status it came with.

    Raises:
        BadAnswerError: it has a filled `error` or `errors`, a `detail` and nothing else, or calls itself an error.
    """
    for name in ("error", "errors"):
        if body.get(name):
            raise BadAnswerError(f"the answer is an error: {_told(body[name])}")
    if body.get("object") == "error" or set(body) in ({"detail"}, {"message"}, {"message", "id"}):
        raise BadAnswerError(f"the answer is an error: {_told(body)}")


def printable(text: str) -> str:
    """Returns at most 160 characters of a text, in one line, without control characters."""
    kept = "".join(character if character.isprintable() else " " for character in text[: 4 * _SENTENCE])
    line = " ".join(kept.split())
    return line if len(line) <= _SENTENCE else line[: _SENTENCE - 3] + "..."


def member(body: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """Returns a member of an object.

    Raises:
        BadAnswerError: no object, no such member, or one of another kind.
    """
    if not isinstance(body, dict):
        raise BadAnswerError(f"the answer is no object; '{name}' was expected in one")
    if name not in body:
        raise BadAnswerError(f"the answer has no '{name}'; it has: {_names(body)}")
    value = body[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadAnswerError(f"'{name}' is not of the expected kind")
    return value


def items(value: Any, count: int, what: str) -> list[Any]:
    """Returns a list that has as many items as there were probes.

    Raises:
        BadAnswerError: no list, or another number of items.
    """
    if not isinstance(value, list):
        raise BadAnswerError(f"{what} is no list")
    if len(value) != count:
        raise BadAnswerError(f"{what} has {len(value)} items for {count} probes")
    return value


def by_index(entries: Sequence[Any]) -> list[dict[str, Any]]:
    """Returns objects in the order of their `index`, which no protocol promises to be the order they come in.

    Raises:
        BadAnswerError: an entry is no object, or the indices are not 0 to n - 1.
    """
    ordered: dict[int, dict[str, Any]] = {}
    for entry in entries:
        index = member(entry, "index", int)
        if index in ordered or not 0 <= index < len(entries):
            raise BadAnswerError("the 'index' of the items is not 0 to n - 1, each once")
        ordered[index] = entry
    return [ordered[index] for index in range(len(entries))]


def vector(value: Any) -> Row | None:
    """Reads one row of numbers, or the base64 of little-endian float32; None where it is neither.

    Values that are not finite stay; the table marks their row missing. Numbers that were parsed as texts stay texts
    where each can stand in a transcript as it is: at most 38 characters and no positive exponent, hence no more than
    a float32 can hold.
    """
    if isinstance(value, str):
        return _packed(value)
    if not isinstance(value, list) or not 0 < len(value) <= MAX_WIDTH:
        return None
    if isinstance(value[0], bytes) and (row := _written(value)) is not None:
        return row
    if not set(map(type, value)) <= _NUMBERS:
        return None
    return np.array([float(each) for each in value] if bytes in set(map(type, value)) else value, dtype=np.float64)


def number(value: Any) -> float:
    """Returns a JSON number as a float, NaN where it is none."""
    return float(value) if isinstance(value, float | int) and not isinstance(value, bool) else float("nan")


def text(value: Any, most: int = MAX_TEXT) -> str | None:
    """Returns a JSON string with lone surrogates replaced, None where it is no string or too long."""
    if not isinstance(value, str) or len(value) > most:
        return None
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _written(texts: list[Any]) -> Written | None:
    """Takes a row as it is; None where a number is no text, is long, or has an exponent that is not negative."""
    try:
        joined = b'","'.join(texts)
    except TypeError:
        if not set(map(type, texts)) <= {bytes, int}:
            return None
        texts = [str(each).encode() if type(each) is int else each for each in texts]
        joined = b'","'.join(texts)
    quotes = np.flatnonzero(np.frombuffer(b'"' + joined + b'"', dtype=np.uint8) == 0x22)
    if np.diff(quotes).max() > _LONGEST + 1 or b"E" in joined:
        return None
    if b"e" in joined and joined.count(b"e") != joined.count(b"e-"):
        return None
    return Written(joined, len(texts))


def _packed(value: str) -> FloatArray | None:
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not raw or len(raw) % 4 or len(raw) > 4 * MAX_WIDTH:
        return None
    return np.frombuffer(raw, dtype="<f4").astype(np.float64)


def _bound_depth(body: Any) -> None:
    level = [body] if isinstance(body, dict | list) else []
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for each in level:
            values = each.values() if isinstance(each, dict) else each
            # The types of a long row of numbers are found quickly; only what holds more is looked at one by one.
            if not _is_written(values) and not {dict, list}.isdisjoint(map(type, values)):
                below += [value for value in values if isinstance(value, dict | list)]
        if not below:
            return
        level = below
    raise BadAnswerError(f"the body is nested more than {MAX_DEPTH} deep")


def _is_written(values: Any) -> bool:
    """Whether a list holds nothing but numbers' texts; joining them is the quickest way to tell."""
    if not isinstance(values, list) or not values or not isinstance(values[0], bytes):
        return False
    try:
        b"".join(values)
    except TypeError:
        return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object names a key twice")
    return result


def _integer(digits: str) -> int | float:
    # A float takes any number of digits in linear time, and becomes infinite where it is too large.
    return int(digits) if len(digits) <= _INTEGER_DIGITS else float(digits)


def _told(value: Any) -> str:
    """Returns the words of an error: the usual members of an object, otherwise its JSON."""
    if isinstance(value, dict):
        for name in ("message", "detail", "error", "msg", "type", "code"):
            if value.get(name):
                return _told(value[name])
    if isinstance(value, list) and value:
        return _told(value[0])
    return printable(value if isinstance(value, str) else json.dumps(value, default=bytes.decode)[: 4 * _SENTENCE])


def _names(body: dict[str, Any]) -> str:
    return printable(", ".join(sorted(body)[:8])) or "nothing"
