"""Open Inference Protocol v2 (Triton, MLServer, KServe): `POST /v2/models/MODEL/infer` with JSON tensors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from forensics.canonical import sha256
from forensics.errors import UsageError
from forensics.images import decode_image
from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.remote import tables
from forensics.suspects.remote.adapter import BadAnswerError, Conversation, Request
from forensics.suspects.remote.parsing import MAX_WIDTH, items, member, parse_body, text, vector
from forensics.suspects.remote.questions import (
    bearer,
    choice,
    encode,
    integer,
    known_options,
    named_model,
    names_of,
    positive,
    shape_of,
    texts_of,
    units,
)

NAMES = ("batch", "content", "datatype", "divide", "input", "kind", "labels", "layout", "output", "shape", "version")
KINDS = ("vectors", "probabilities", "logits", "labels")
USUAL = 32
MOST = 1024


@dataclass(frozen=True)
class Tensors:
    """One input tensor with a row a probe, one output tensor with a row a probe.

    Attributes:
        divide: pixel values are divided by it; 1 leaves 0 to 255.
        layout: `hwc`, or `chw` for channels first.
        shape: of one probe; empty for the image's own (images) or one element (texts).
    """

    model: str
    input: str
    output: str
    kind: AnswerKind | None
    content: str = "text"
    datatype: str = "BYTES"
    shape: tuple[int, ...] = ()
    divide: float = 1.0
    layout: str = "hwc"
    version: str | None = None
    labels: tuple[str, ...] = ()
    limit: int = USUAL
    options: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "oip"

    def converse(self, probes: Sequence[Probe]) -> Conversation:
        """Returns the conversation: one request for all probes."""
        shape, data = self._texts(probes) if self.content == "text" else self._images(probes)
        name = sha256("".join(probe.digest for probe in probes).encode())[:32]
        tensor = {"name": self.input, "shape": [len(probes), *shape], "datatype": self.datatype, "data": data}
        body = {"id": name, "inputs": [tensor], "outputs": [{"name": self.output}]}
        version = f"/versions/{quote(self.version, safe='')}" if self.version else ""
        path = f"/v2/models/{quote(self.model, safe='')}{version}/infer"
        return self._ask(Request(path, encode(body), lambda raw: self._read(raw, name, len(probes)), units(probes)))

    def authorization(self, secret: str) -> Mapping[str, str]:
        """Returns the bearer header."""
        return bearer(secret)

    def _ask(self, request: Request) -> Conversation:
        answers: Answers = yield request
        return answers

    def _texts(self, probes: Sequence[Probe]) -> tuple[tuple[int, ...], list[Any]]:
        return self.shape, list(texts_of(probes, self.scheme))

    def _images(self, probes: Sequence[Probe]) -> tuple[tuple[int, ...], list[Any]]:
        shape: tuple[int, ...] = ()
        data: list[Any] = []
        for probe in probes:
            if probe.media_type != "image/png" or probe.operation != "answer":
                raise UsageError("oip was told to take images, the probes are none.", "Write ?content=text.")
            pixels: NDArray[Any] = decode_image(probe.data)
            pixels = pixels.transpose(2, 0, 1) if self.layout == "chw" else pixels
            own = self.shape or pixels.shape
            if math.prod(own) != pixels.size or (shape and own != shape):
                raise UsageError(
                    f"An image of {' x '.join(map(str, pixels.shape))} values does not fill the shape {own}.",
                    "Correct ?shape=, the shape of one image.",
                )
            shape = own
            data += _numbers(pixels, self.datatype, self.divide)
        return shape, data

    def _read(self, raw: bytes, name: str, count: int) -> Answers:
        body = parse_body(raw, written=self.kind is AnswerKind.VECTORS)
        outputs = member(body, "outputs", list)
        if body.get("id") not in (None, "", name):
            raise BadAnswerError("the answer's id is that of another request")
        found = [each for each in outputs if isinstance(each, dict) and each.get("name") == self.output]
        if len(found) != 1:
            raise BadAnswerError(f"the answer has {len(found)} outputs of the name that was asked for")
        rows = _rows(found[0], count)
        if self.kind is AnswerKind.LABELS:
            return tables.classes([_class(row) for row in rows], self.labels)
        return tables.vectors([vector(row) for row in rows], self.kind or AnswerKind.VECTORS, self.labels)


def make_inference(url: str, model: str | None, options: Mapping[str, str]) -> Tensors:
    """Binds the options; `input`, `output` and `kind` are required, since servers need not describe their tensors.

    Raises:
        UsageError: no model, a required option is missing, or one is not understood.
    """
    known = known_options("oip", options, NAMES)
    for name in ("input", "output", "kind"):
        if not known.get(name):
            raise UsageError(
                f"oip needs ?{name}=.", "Name the tensors and what the output is, as ?input=text&output=..."
            )
    content = choice(known, "content", ("text", "image"), "text")
    among = ("BYTES",) if content == "text" else ("FP32", "FP64", "UINT8")
    shape = shape_of(known, "shape")
    if content == "text" and math.prod(shape) != 1:
        raise UsageError("A text is one element; ?shape= can only hold ones.", "Write ?shape=1, or nothing.")
    return Tensors(
        named_model("oip", model),
        known["input"],
        known["output"],
        AnswerKind(choice(known, "kind", KINDS, "")),
        content,
        choice(known, "datatype", among, among[0]),
        shape,
        positive(known, "divide") or 1.0,
        choice(known, "layout", ("hwc", "chw"), "hwc"),
        known.get("version"),
        names_of(known, "labels"),
        integer(known, "batch", 1, MOST) or USUAL,
        known,
    )


def _numbers(pixels: NDArray[Any], datatype: str, divide: float) -> list[Any]:
    if datatype == "UINT8":
        return list(pixels.ravel().tolist())
    values = pixels.ravel().astype(np.float64) / divide
    if datatype == "FP32":
        # The shortest decimals of a float32 read back as it; those of its float64 would be twice as long.
        return [float(text) for text in values.astype(np.float32).astype("U32")]
    return list(values.tolist())


def _rows(output: dict[str, Any], count: int) -> list[Any]:
    """Returns a row a probe of an output tensor whose data may be flat or nested.

    Raises:
        BadAnswerError: shape and data do not agree with each other or with the number of probes.
    """
    shape, data = member(output, "shape", list), member(output, "data", list)
    if not shape or any(type(side) is not int or not 0 < side <= MAX_WIDTH for side in shape) or len(shape) > 8:
        raise BadAnswerError("the output's shape is none")
    if shape[0] != count:
        raise BadAnswerError(f"the output has {shape[0]} rows for {count} probes")
    width = math.prod(shape[1:])
    if width > MAX_WIDTH:
        raise BadAnswerError("the output's rows are too long")
    flat = data
    for _ in shape[1:]:
        if flat and all(isinstance(each, list) for each in flat):
            flat = [value for each in flat for value in each]
    items(flat, count * width, "the output's data")
    return [flat[first : first + width] for first in range(0, len(flat), width)]


def _class(row: list[Any]) -> str | int | None:
    if len(row) != 1:
        return None
    value = row[0]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int else text(value, tables.MAX_LABEL)
