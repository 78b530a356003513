"""Hugging Face's Text Embeddings Inference: `POST /embed` for pooled vectors, `POST /predict` for classifiers."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from forensics.records import AnswerKind
from forensics.suspects.remote import tables
from forensics.suspects.remote.adapter import BadAnswerError
from forensics.suspects.remote.batch import BatchRoute
from forensics.suspects.remote.parsing import Row, items, parse_body, vector
from forensics.suspects.remote.questions import given, integer, known_options, truth

USUAL = 32
MOST = 4096


def make_embeddings(url: str, model: str | None, options: Mapping[str, str]) -> BatchRoute:
    """Binds `normalize` (false keeps the norms), `truncate`, `prompt_name` and `batch`; a model's name is a record.

    Raises:
        UsageError: an option is not understood.
    """
    known = known_options("tei", options, ("batch", "normalize", "prompt_name", "truncate"))
    normalize, truncate = truth(known, "normalize"), truth(known, "truncate") or False

    def body(texts: list[str]) -> dict[str, Any]:
        return given(
            inputs=texts,
            normalize=True if normalize is None else normalize,
            truncate=truncate,
            prompt_name=known.get("prompt_name"),
        )

    return BatchRoute("tei", "/embed", body, _read_rows, integer(known, "batch", 1, MOST) or USUAL, known)


def make_classifier(url: str, model: str | None, options: Mapping[str, str]) -> BatchRoute:
    """Binds `raw_scores` (true gives logits), `truncate` and `batch`; a model's name is a record.

    Raises:
        UsageError: an option is not understood.
    """
    known = known_options("tei-predict", options, ("batch", "raw_scores", "truncate"))
    raw, truncate = truth(known, "raw_scores") or False, truth(known, "truncate") or False
    kind = AnswerKind.LOGITS if raw else AnswerKind.PROBABILITIES

    def body(texts: list[str]) -> dict[str, Any]:
        # A flat list of two texts would be read as one pair; a batch is a list of lists.
        return {"inputs": [[text] for text in texts], "raw_scores": raw, "truncate": truncate}

    limit = integer(known, "batch", 1, MOST) or USUAL
    answers = partial(tables.scores, kind=kind)
    return BatchRoute("tei-predict", "/predict", body, read_predictions, limit, known, kind, answers)


def read_predictions(raw: bytes, count: int) -> list[tables.Scores | None]:
    """Reads `[[{"label", "score"}, ...], ...]`, or the inner list alone where there was one probe.

    Raises:
        BadAnswerError: the body has another shape or another number of rows.
    """
    body = parse_body(raw)
    if count == 1 and isinstance(body, list) and body and isinstance(body[0], dict):
        body = [body]
    return [tables.named_scores(row) for row in _lists(items(body, count, "the answer"))]


def _read_rows(raw: bytes, count: int) -> list[Row | None]:
    return [vector(row) for row in items(parse_body(raw, written=True), count, "the answer")]


def _lists(rows: list[Any]) -> list[Any]:
    if any(row is not None and not isinstance(row, list) for row in rows):
        raise BadAnswerError("the answer is no list of lists of labels and scores")
    return rows
