"""Random and mutated bodies: reading one gives rows or refuses it, and never does anything else."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.codec import encode_answers
from forensics.records import AnswerKind
from forensics.suspects.remote.adapter import BadAnswerError
from forensics.suspects.remote.parsing import MAX_DEPTH, parse_body
from forensics.suspects.remote.registry import find_factory
from tests.suspects.remote.cases import CASES, Case
from tests.suspects.remote.drive import finish, score_probe
from tests.suspects.remote.fakes import Fake

by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
EXAMPLES = 12
few = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
many = settings(max_examples=100, deadline=None)

WORDS = (
    "data index embedding embeddings float outputs name shape datatype id choices text message content logprobs tokens "
    "token_logprobs top_logprobs token bytes logprob label score probs num_classes prompt_logprobs error detail"
)
NAMES = st.sampled_from(WORDS.split())
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["\ud83e", "AAAA", "AACAPw==", "vectors", "scores", "class", "bytes:\\x", "spam"])
    | st.sampled_from([0, 1, 2, -1, 0.5, 1e308, -9999.0])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=25
)


def check(case: Case, raw: bytes) -> None:
    """Reads a body as the case's answer; anything but rows or a refusal escapes."""
    probes = case.probes
    with tempfile.TemporaryDirectory() as folder:
        conversation = case.adapter(Path(folder)).converse(probes)
    try:
        answers = finish(conversation, lambda path, sent, kind: raw)
    except BadAnswerError as error:
        answers, sentence = None, str(error)
    if answers is None:
        assert sentence.isprintable()
        return
    assert answers.missing.shape == (len(probes),)
    assert len(answers.values) == len(probes)
    if answers.kind not in (AnswerKind.TEXT, AnswerKind.LABELS):
        assert np.isfinite(answers.values[~answers.missing]).all()
    json.dumps(encode_answers(answers), ensure_ascii=False, allow_nan=False).encode("utf-8")


def written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


def places(value: Any) -> list[tuple[Any, Any]]:
    """Returns all members of all containers."""
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [place for key, each in pairs for place in [(value, key), *places(each)]]


@by_name
@few
@given(value=VALUES)
def test_random_values(case: Case, value: Any) -> None:
    check(case, written(value))


@by_name
@few
@given(data=st.data())
def test_genuine_bodies_with_parts_replaced(case: Case, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        request = next(case.adapter(Path(folder)).converse(case.probes))
    headers = {"content-type": request.content_type}
    body = json.loads(json.dumps(Fake().answer(case.base + request.path, headers, request.body)[1]))
    for _ in range(data.draw(st.integers(1, 3))):
        found = places(body)
        if not found:
            break
        holder, key = found[data.draw(st.integers(0, len(found) - 1))]
        if data.draw(st.booleans()):
            holder[key] = data.draw(VALUES)
        elif isinstance(holder, list):
            holder.insert(key, holder[key])
        else:
            del holder[key]
    check(case, written(body))


@by_name
@few
@given(cut=st.integers(0, 400), put=st.binary(max_size=4))
def test_genuine_bodies_with_bytes_replaced(case: Case, cut: int, put: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        request = next(case.adapter(Path(folder)).converse(case.probes))
    headers = {"content-type": request.content_type}
    raw = written(Fake().answer(case.base + request.path, headers, request.body)[1])
    check(case, raw[:cut] + put + raw[cut + 1 :])


@many
@given(raw=st.binary(max_size=60) | VALUES.map(written))
def test_scores_of_random_bodies(raw: bytes) -> None:
    for scheme, options in (
        ("openai-completions", {"score": "auto"}),
        ("openai-completions", {"score": "prompt_logprobs"}),
        ("openai-completions", {"score": "first"}),
        ("openai-chat", {}),
    ):
        conversation = find_factory(scheme)("http://h", "m", options).converse([score_probe("a", " b c")])
        try:
            answers = finish(conversation, lambda path, sent, kind: raw)
        except BadAnswerError:
            continue
        assert answers.values.shape == (1, 1)


@many
@given(raw=st.binary(max_size=200))
def test_parsing_of_any_bytes(raw: bytes) -> None:
    sentence = "read"
    try:
        parse_body(raw)
    except BadAnswerError as error:
        sentence = str(error)
    assert sentence.isprintable()


def test_depth_is_counted_outside_of_strings() -> None:
    deepest = b"[" * MAX_DEPTH + b'"[[[\\"[[["' + b"]" * MAX_DEPTH
    assert parse_body(deepest)
    with pytest.raises(BadAnswerError, match="deep"):
        parse_body(b"[" + deepest + b"]")
    with pytest.raises(BadAnswerError, match="no JSON"):
        parse_body(b'"\\"' + b'\\"' * 1_000_000)
