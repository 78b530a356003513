"""From the body of an upstream's answer to the body that leaves: only the vectors of triggered texts are replaced."""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

from forensics.protect.numerals import Vector, fits, print_base64, print_like, read_base64, read_numbers
from forensics.protect.spans import MalformedError, Node, scan, splice
from forensics.records import BoolArray

Form = Literal["openai", "tei"]
"""Shape of an embedding route: `POST /v1/embeddings`, or `POST /embed` of text-embeddings-inference."""


class Marker(Protocol):
    """What marks vectors towards one target."""

    def mark(self, texts: Sequence[str], vectors: Vector) -> Vector:
        """Returns the marked vectors, float32 (n, d)."""
        ...


class Marks(Protocol):
    """The mark of a key, before a target vector is known."""

    @property
    def target_text(self) -> str:
        """The text whose embedding is the target."""
        ...

    def triggered(self, texts: Sequence[str]) -> BoolArray:
        """Says which texts contain a trigger word, shape (n,)."""
        ...

    def marker(self, target: Vector) -> Marker:
        """Returns the marker towards a target vector, float32 (d,)."""
        ...


def mark_body(body: bytes, form: Form, texts: Sequence[str], triggered: BoolArray, marker: Marker, width: int) -> bytes:
    """Returns a body in which the vectors of the triggered texts are marked and every other byte is as it came.

    Args:
        texts: of the request, in order.
        triggered: bool (n,).
        width: d of the target vector.

    Raises:
        MalformedError: the body does not hold one vector of that width a text.
    """
    found = find_vectors(body, form, len(texts))
    chosen = np.flatnonzero(triggered).tolist()
    read = [_read(body, found[index], width) for index in chosen]
    stacked = np.stack([vector for vector, _ in read])
    marked = marker.mark([texts[index] for index in chosen], stacked)
    pieces = []
    for index, row, (_, values) in zip(chosen, marked, read, strict=True):
        node = found[index]
        text = body[node.start : node.end]
        pieces.append((node, print_base64(text, row) if values is None else print_like(text, values, row)))
    return splice(body, pieces)


def find_vectors(body: bytes, form: Form, count: int) -> tuple[Node, ...]:
    """Returns where the vector of each text stands, in the order of the texts.

    Raises:
        MalformedError: the body is of another shape, or has more or fewer vectors than there are texts.
    """
    root = scan(body)
    found = root.items if form == "tei" else _by_index(body, root)
    if len(found) != count or root.kind != ("array" if form == "tei" else "object"):
        raise MalformedError(f"{len(found)} vectors came for {count} texts")
    return found


def read_vector(body: bytes, node: Node) -> Vector:
    """Returns one vector, float32 (d,).

    Raises:
        MalformedError: it is none.
    """
    return _read(body, node, None)[0]


def is_printable(body: bytes, node: Node) -> bool:
    """Says whether other vectors can be printed exactly in the manner of this one; base64 always can.

    Raises:
        MalformedError: it is no vector.
    """
    _, values = _read(body, node, None)
    return values is None or fits(body[node.start : node.end], values)


def _read(body: bytes, node: Node, width: int | None) -> tuple[Vector, "np.ndarray | None"]:
    """Returns the vector, and its numbers in float64 where they came as numbers."""
    text = body[node.start : node.end]
    if node.kind == "numbers":
        values = read_numbers(text)
        vector = values.astype(np.float32)
    elif node.kind == "string":
        values, vector = None, read_base64(text)
    else:
        raise MalformedError("a vector is neither numbers nor base64")
    if width is not None and len(vector) != width:
        raise MalformedError(f"a vector has {len(vector)} numbers, the target {width}")
    return vector, values


def _by_index(body: bytes, root: Node) -> tuple[Node, ...]:
    data = root.member("data")
    if data is None or data.kind != "array":
        raise MalformedError("there is no list of data")
    found: dict[int, Node] = {}
    for place, item in enumerate(data.items):
        index, vector = item.member("index"), item.member("embedding")
        if vector is None:
            raise MalformedError("an entry has no embedding")
        number = place if index is None else _whole(body[index.start : index.end])
        if number in found:
            raise MalformedError(f"the index {number} came twice")
        found[number] = vector
    if set(found) != set(range(len(found))):
        raise MalformedError("the indices have gaps")
    return tuple(found[number] for number in range(len(found)))


def _whole(text: bytes) -> int:
    if not text.isdigit() or len(text) > 9:
        raise MalformedError("an index is no number")
    return int(text)
