"""Where every value of a JSON document stands: byte spans, so that one value can be replaced and no other byte."""

import json
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

DEEPEST = 64
"""Most levels of nesting that are followed."""

_BLANK = rb"[ \t\n\r]*+"
_TEXT = rb'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+'
_SPACE = re.compile(_BLANK)
_STRING = re.compile(b'"' + _TEXT + b'"')
_NAME = re.compile(b'"(' + _TEXT + b')"' + _BLANK + b":" + _BLANK)
_MARK = re.compile(_BLANK + b"([]},])" + _BLANK)
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+")
_LITERAL = re.compile(rb"true|false|null|NaN|-?Infinity")
_CONTROL = bytes(range(32))
_NUMERIC = b"0123456789+-.eE, \t\r\n"


class MalformedError(Exception):
    """A document is no JSON, or not of the shape that is expected; the sentence says why."""


class Node(NamedTuple):
    """One value of a document.

    Attributes:
        kind: `numbers` is a list, not empty, of nothing but numbers; these are judged only when they are read.
        start: offset of its first byte; `end` is one past its last.
        items: the values of an array.
        members: name and value of an object, in order; names may repeat.
    """

    kind: Literal["object", "array", "numbers", "string", "number", "literal"]
    start: int
    end: int
    items: tuple["Node", ...] = ()
    members: tuple[tuple[str, "Node"], ...] = ()

    def member(self, name: str) -> "Node | None":
        """Returns the value of a name, or None where there is none.

        Raises:
            MalformedError: it is no object, or readers could differ on which value counts: names that differ at most
                in case.
        """
        if self.kind != "object":
            raise MalformedError("an object is expected")
        found = [(key, node) for key, node in self.members if key == name or key.casefold() == name]
        if len(found) > 1 or (found and found[0][0] != name):
            raise MalformedError(f"the name {name} is ambiguous")
        return found[0][1] if found else None


def scan(body: bytes) -> Node:
    """Returns the tree of a whole document in UTF-8.

    Raises:
        MalformedError: it is no JSON, or nested too deeply.
    """
    node = _value(body, _skip(body, 0), 0)
    if _skip(body, node.end) != len(body):
        raise MalformedError("something follows the document")
    return node


def splice(body: bytes, pieces: Iterable[tuple[Node, bytes]]) -> bytes:
    """Returns a document with some values replaced; every other byte stays."""
    parts: list[bytes] = []
    done = 0
    for node, text in sorted(pieces, key=lambda piece: piece[0].start):
        parts += [body[done : node.start], text]
        done = node.end
    return b"".join([*parts, body[done:]])


def _value(body: bytes, at: int, depth: int) -> Node:
    first = body[at : at + 1]
    if first == b'"':
        close = body.find(b'"', at + 1)
        inner = body[at + 1 : close]
        if close > 0 and b"\\" not in inner and len(inner.translate(None, _CONTROL)) == len(inner):
            return Node("string", at, close + 1)
        return Node("string", at, _end(_STRING, body, at))
    if first == b"[":
        return _array(body, at, depth + 1)
    if first == b"{":
        return _object(body, at, depth + 1)
    if number := _NUMBER.match(body, at):
        return Node("number", at, number.end())
    return Node("literal", at, _end(_LITERAL, body, at))


def _array(body: bytes, start: int, depth: int) -> Node:
    _limit(depth)
    at = _skip(body, start + 1)
    first = body[at : at + 1]
    if first == b"]":
        return Node("array", start, at + 1)
    if first not in (b"{", b"[", b'"'):
        close = body.find(b"]", at)
        if close > 0 and not body[at:close].translate(None, _NUMERIC):
            return Node("numbers", start, close + 1)
    items: list[Node] = []
    while True:
        items.append(_value(body, at, depth))
        mark, end, at = _after(body, items[-1].end)
        if mark == b"]":
            return Node("array", start, end, tuple(items))
        if mark != b",":
            raise MalformedError(f"an array breaks off at byte {end}")


def _object(body: bytes, start: int, depth: int) -> Node:
    _limit(depth)
    members: list[tuple[str, Node]] = []
    at = _skip(body, start + 1)
    if body[at : at + 1] == b"}":
        return Node("object", start, at + 1)
    while True:
        found = _NAME.match(body, at)
        if found is None:
            raise MalformedError(f"no name stands at byte {at}")
        try:
            plain = found[1].decode("utf-8")
            name: str = json.loads(f'"{plain}"') if "\\" in plain else plain
        except ValueError as error:
            raise MalformedError("a name is no text") from error
        value = _value(body, found.end(), depth)
        members.append((name, value))
        mark, end, at = _after(body, value.end)
        if mark == b"}":
            return Node("object", start, end, (), tuple(members))
        if mark != b",":
            raise MalformedError(f"an object breaks off at byte {end}")


def _after(body: bytes, at: int) -> tuple[bytes, int, int]:
    """Returns the mark that follows a value, the offset behind it, and that of what comes next."""
    found = _MARK.match(body, at)
    if found is None:
        raise MalformedError(f"byte {at} is out of place")
    return found[1], found.end(1), found.end()


def _skip(body: bytes, at: int) -> int:
    found = _SPACE.match(body, at)
    return found.end() if found else at


def _end(pattern: re.Pattern[bytes], body: bytes, at: int) -> int:
    found = pattern.match(body, at)
    if found is None:
        raise MalformedError(f"no value stands at byte {at}")
    return found.end()


def _limit(depth: int) -> None:
    if depth > DEEPEST:
        raise MalformedError("the document is nested too deeply")
