"""What is no answer is refused in a sentence, what is no number is missing: the same for all adapters."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.suspects.remote.adapter import BadAnswerError, Request
from tests.suspects.remote.cases import CASES, TEXTS, Case
from tests.suspects.remote.drive import Post, finish
from tests.suspects.remote.fakes import Fake, serving

by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
NUMBERS = [case for case in CASES if case.kind in ("vectors", "probabilities", "logits") and "base64" not in case.name]
BATCHES = [case for case in CASES if case.texts is TEXTS]
DISGUISES = [
    b"",
    b"   ",
    b"null",
    b"0",
    b'"fine"',
    b"[]",
    b"{}",
    b"<html>503 Service Unavailable</html>",
    b'{"error": "model is loading", "estimated_time": 20.0}',
    b'{"error": {"message": "Incorrect API key", "type": "invalid_request_error", "code": 401}}',
    b'{"error": {"message": "down"}, "data": [], "outputs": [], "embeddings": [], "choices": []}',
    b'{"detail": "Unauthorized"}',
    b'{"detail": [{"loc": ["body", "input"], "msg": "field required", "type": "value_error"}]}',
    b'{"message": "invalid api token"}',
    b'{"object": "error", "message": "The model does not exist", "code": 404}',
    b'{"errors": ["a", "b"]}',
    b"\xff\xfe\x00",
    b'\xef\xbb\xbf{"data": []}',
    b'{"data": [], "data": []}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'"' + b"\\" * 100_001,
    b'{"data": [' + b"9" * 1_000_000,
    b"[[1, 2]",
]


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with serving(Fake()) as running:
        yield running


def first_request(case: Case, folder: Path) -> Request:
    return next(case.adapter(folder).converse(case.probes))


def genuine(case: Case, fake: Fake, folder: Path) -> Any:
    """Returns the fake's own answer to the case's first request."""
    request = first_request(case, folder)
    return json.loads(Post(fake.url + case.base, {})(request.path, request.body, request.content_type))


def answers_to(case: Case, folder: Path, body: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return finish(case.adapter(folder).converse(case.probes), lambda path, sent, kind: raw)


@by_name
def test_errors_in_disguise(case: Case, tmp_path: Path) -> None:
    request = first_request(case, tmp_path)
    for body in DISGUISES:
        with pytest.raises(BadAnswerError) as refused:
            request.read(body)
        sentence = str(refused.value)
        assert sentence.isprintable(), body[:40]
        assert 8 < len(sentence) < 300, body[:40]


def test_an_error_is_told_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(BadAnswerError, match="Incorrect API key"):
        first_request(CASES[0], tmp_path).read(DISGUISES[9])
    with pytest.raises(BadAnswerError, match="field required"):
        first_request(CASES[0], tmp_path).read(DISGUISES[12])


def lists(body: Any) -> Iterator[list[Any]]:
    """All lists in a body, outermost first."""
    if isinstance(body, list):
        yield body
    for each in body.values() if isinstance(body, dict) else body if isinstance(body, list) else ():
        yield from lists(each)


@pytest.mark.parametrize("case", BATCHES, ids=lambda case: case.name)
@pytest.mark.parametrize("change", ["fewer", "more", "none"])
def test_wrong_number_of_rows(case: Case, change: str, fake: Fake, tmp_path: Path) -> None:
    body = genuine(case, fake, tmp_path)
    if case.scheme == "oip":
        output = body["outputs"][0]
        output["shape"][0] += {"fewer": -1, "more": 1, "none": -5}[change]
        size = math.prod(output["shape"][1:]) if case.name != "oip nested" else 1
        output["data"] = (output["data"] * 2)[: output["shape"][0] * size]
    else:
        rows = next(each for each in lists(body) if len(each) == len(TEXTS))
        rows[:] = {"fewer": rows[:-1], "more": [*rows, rows[0]], "none": []}[change]
    with pytest.raises(BadAnswerError):
        answers_to(case, tmp_path, body)


def spoil(body: Any, text: str) -> bytes:
    """Returns a body's JSON with its first float replaced by a text."""
    marked = json.dumps(body)
    for number in floats(body):
        return marked.replace(repr(number), text, 1).encode()
    raise AssertionError("the body holds no float")


def floats(body: Any) -> Iterator[float]:
    if isinstance(body, float):
        yield body
    for each in body.values() if isinstance(body, dict) else body if isinstance(body, list) else ():
        yield from floats(each)


@pytest.mark.parametrize("case", NUMBERS, ids=lambda case: case.name)
def test_numbers_that_are_none(case: Case, fake: Fake, tmp_path: Path) -> None:
    body = genuine(case, fake, tmp_path)
    whole = answers_to(case, tmp_path, body)
    for text in ("NaN", "-Infinity", "1e999", "1e300", "null", "true", '"0.5"', "[]", "9" * 5000):
        try:
            answers = answers_to(case, tmp_path, spoil(body, text))
        except BadAnswerError:
            # A row that cannot be read at all may also be refused, where it is all there is.
            assert len(case.probes) == 1, text
            continue
        assert answers.missing.sum() == 1, text
        assert np.isnan(answers.values[answers.missing]).all(), text
        assert np.array_equal(answers.values[~answers.missing], whole.values[~answers.missing]), text


@pytest.mark.parametrize(
    "case", [case for case in BATCHES if case.kind == "vectors" and case.scheme != "oip"], ids=lambda case: case.name
)
def test_rows_of_another_width(case: Case, fake: Fake, tmp_path: Path) -> None:
    for change in (lambda row: row[:-1], lambda row: [*row, 0.5], lambda row: [], lambda row: None, lambda row: {}):
        body = genuine(case, fake, tmp_path)
        if "base64" in case.name:
            body["data"][0]["embedding"] = body["data"][0]["embedding"][:-4]
        else:
            holder = next(each for each in holders(body) if is_vector(each[0][each[1]]))
            holder[0][holder[1]] = change(holder[0][holder[1]])
        answers = answers_to(case, tmp_path, body)
        assert answers.missing.sum() == 1
        assert answers.values.shape[1] == case.expected(case.texts).shape[1]


def holders(body: Any) -> Iterator[tuple[Any, Any]]:
    """All places of a body."""
    pairs = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for place, each in pairs:
        yield body, place
        yield from holders(each)


def is_vector(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, float) for each in value)


def test_indices_are_each_once(fake: Fake, tmp_path: Path) -> None:
    for index in (1, -1, 5, "0", None, True, 2**70):
        body = genuine(CASES[0], fake, tmp_path)
        body["data"][-1]["index"] = index
        with pytest.raises(BadAnswerError, match="index"):
            answers_to(CASES[0], tmp_path, body)


def test_another_requests_id(fake: Fake, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "oip")
    body = genuine(case, fake, tmp_path)
    with pytest.raises(BadAnswerError, match="another request"):
        answers_to(case, tmp_path, {**body, "id": "0" * 32})
    del body["id"]
    assert not answers_to(case, tmp_path, body).missing.any()


def test_other_labels_are_missing_and_never_zero(fake: Fake, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "tei predict")
    body = genuine(case, fake, tmp_path)
    body[0][0]["label"] = "bacon"
    body[1].pop()
    body[2][1]["label"] = body[2][0]["label"]
    body[3][0]["score"] = 1.5
    answers = answers_to(case, tmp_path, body)
    assert answers.labels == case.labels
    assert answers.missing.tolist() == [True, True, True, True, False]


def test_unpooled_vectors_are_refused(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "hf vector")
    with pytest.raises(BadAnswerError, match="one vector a token"):
        answers_to(case, tmp_path, [[0.5, 0.5], [0.25, 0.5]])
    assert answers_to(case, tmp_path, [[0.5, 0.25]]).values.tolist() == [[0.5, 0.25]]


def test_rounding_is_noticed(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "vllm classify")
    rows = [[0.25, 0.5, 0.25], [0.01, 0.98, 0.01], [0.33, 0.33, 0.33], [1.0, 0.0, 0.0], [0.7, 0.2, 0.1]]
    data = [{"index": index, "label": "x", "probs": row, "num_classes": 3} for index, row in enumerate(rows)]
    assert answers_to(case, tmp_path, {"data": data}).resolution == 0.01
    data[0]["probs"] = [0.25123456, 0.5, 0.24876544]
    assert answers_to(case, tmp_path, {"data": data}).resolution == 0.0
    data = [{**each, "probs": [0.0, 1.0, 0.0]} for each in data]
    assert answers_to(case, tmp_path, {"data": data}).resolution == 0.0
    data[0]["num_classes"] = 7
    assert answers_to(case, tmp_path, {"data": data}).missing.tolist() == [True, False, False, False, False]


def test_text_with_half_a_surrogate(tmp_path: Path) -> None:
    for name, body in (
        ("completion", b'{"choices": [{"text": "a\\ud83e b"}]}'),
        ("chat", b'{"choices": [{"message": {"content": "a\\ud83e b"}}]}'),
    ):
        case = next(case for case in CASES if case.name == name)
        answers = answers_to(case, tmp_path, body)
        assert answers.values.tolist() == ["a\ufffd b"]
    refused = b'{"choices": [{"message": {"content": null, "refusal": "no"}}]}'
    assert answers_to(case, tmp_path, refused).missing.tolist() == [True]


def test_classes_by_name_and_by_number(fake: Fake, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "oip class")
    output = {"name": "class", "datatype": "INT64", "shape": [5], "data": [2, 0, -1, 2.0, 1.5]}
    answers = answers_to(case, tmp_path, {"outputs": [output]})
    assert answers.labels == ()
    assert answers.values.tolist() == [2, 0, -1, 2, -1]
    assert answers.missing.tolist() == [False, False, True, False, True]
    named = answers_to(case, tmp_path, {"outputs": [{**output, "data": ["b", "a", None, "b", 3]}]})
    assert named.labels == ("a", "b")
    assert named.values.tolist() == [1, 0, -1, 1, -1]
