"""vLLM's own routes: `POST /classify` (all probabilities of a classifier) and `POST /pooling` (raw pooled vectors)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from forensics.records import AnswerKind
from forensics.suspects.remote import tables
from forensics.suspects.remote.batch import BatchRoute
from forensics.suspects.remote.openai import read_data
from forensics.suspects.remote.parsing import Row, by_index, items, member, parse_body, vector
from forensics.suspects.remote.questions import integer, known_options, named_model, names_of

USUAL = 64
MOST = 4096


def make_classifier(url: str, model: str | None, options: Mapping[str, str]) -> BatchRoute:
    """Binds `labels` and `batch`.

    Probabilities come in the model's column order, whose names a body does not tell; `labels` may name them.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("vllm-classify", options, ("batch", "labels"))
    named, kind = named_model("vllm-classify", model), AnswerKind.PROBABILITIES

    def body(texts: list[str]) -> dict[str, Any]:
        return {"model": named, "input": texts}

    limit = integer(known, "batch", 1, MOST) or USUAL
    answers = partial(tables.vectors, kind=kind, names=names_of(known, "labels"))
    return BatchRoute("vllm-classify", "/classify", body, _read, limit, known, kind, answers)


def make_pooling(url: str, model: str | None, options: Mapping[str, str]) -> BatchRoute:
    """Binds `batch`; un-pooled answers, a list of vectors a text, count as missing.

    Raises:
        UsageError: no model, or an option that is not understood.
    """
    known = known_options("vllm-pooling", options, ("batch",))
    named = named_model("vllm-pooling", model)

    def body(texts: list[str]) -> dict[str, Any]:
        return {"model": named, "input": texts, "encoding_format": "float"}

    read = partial(read_data, name="data")
    return BatchRoute("vllm-pooling", "/pooling", body, read, integer(known, "batch", 1, MOST) or USUAL, known)


def _read(raw: bytes, count: int) -> list[Row | None]:
    entries = items(member(parse_body(raw), "data", list), count, "'data'")
    return [_row(entry) for entry in by_index(entries)]


def _row(entry: dict[str, Any]) -> Row | None:
    row = vector(entry.get("probs"))
    return row if row is not None and entry.get("num_classes") in (None, len(row)) else None
